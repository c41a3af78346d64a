/**
 * Faults on request: what a test asks for to see that a crash of one part costs only that part. The routes exist
 * only in a process started with PINION_TEST_FAULTS=1; nobody should start a real one so.
 */
import type { Control } from '../control/control.ts';
import type { Routes } from './http.ts';

/** No routes at all unless the environment asks for them. */
export function faultRoutes(control: Control): Routes {
  if (process.env.PINION_TEST_FAULTS !== '1') return {};
  return {
    /** One worker leaves at once, as if it had crashed. */
    'POST /faults/workers/:worker/exit': ({ params }) => {
      control.toWorker(Number(params.worker), { type: 'break', how: 'exit' });
      return { status: 202, body: { broken: `worker ${params.worker}` } };
    },
    /** One worker uses up its heap: the thread is ended, and none of its code runs any more. */
    'POST /faults/workers/:worker/heap': ({ params }) => {
      control.toWorker(Number(params.worker), { type: 'break', how: 'fill-heap' });
      return { status: 202, body: { broken: `worker ${params.worker}` } };
    },
    /** Each worker throws while it serves its next flow. */
    'POST /faults/flow': () => {
      control.toWorkers({ type: 'break', how: 'throw-in-flow' });
      return { status: 202, body: { broken: 'the next flow' } };
    },
    /** Nobody catches what the main thread throws. */
    'POST /faults/main': () => {
      setImmediate(() => {
        throw new Error('thrown on request, to test that a defect ends the process');
      });
      return { status: 202, body: { broken: 'the main thread' } };
    },
  };
}
