/**
 * Faults on request: what a test asks for to see that a crash of one part costs only that part. The routes exist
 * only in a process started with PINION_TEST_FAULTS=1; nobody should start a real one so.
 */
import type { RoomName } from '../rooms/client.ts';
import type { RoomFault } from '../rooms/serve.ts';
import type { Routes } from './http.ts';
import type { Fault } from './messages-from-front.ts';
import type { Outside } from './outside.ts';

/** No routes at all unless the environment asks for them. */
export function faultRoutes(outside: Outside): Routes {
  if (process.env.PINION_TEST_FAULTS !== '1') return {};
  const cause = (fault: Fault) => outside.order({ kind: 'break', fault });
  return {
    /** One worker leaves at once, as if it had crashed. */
    'POST /faults/workers/:worker/exit': ({ params }) =>
      cause({ of: 'worker', worker: Number(params.worker), how: 'exit' }),
    /** One worker uses up its heap: the thread is ended, and none of its code runs any more. */
    'POST /faults/workers/:worker/heap': ({ params }) =>
      cause({ of: 'worker', worker: Number(params.worker), how: 'fill-heap' }),
    /** One worker serves nobody any more, and does not end. */
    'POST /faults/workers/:worker/loop': ({ params }) =>
      cause({ of: 'worker', worker: Number(params.worker), how: 'loop' }),
    /** Each worker throws while it serves its next flow. */
    'POST /faults/flow': () => cause({ of: 'flow' }),
    /** Nobody catches what the main thread throws. */
    'POST /faults/main': () => cause({ of: 'main' }),
    /** What a stranger might bring about in a room. */
    'POST /faults/rooms/:room/:how': ({ params }) =>
      cause({ of: 'room', room: params.room as RoomName, how: params.how as RoomFault }),
  };
}
