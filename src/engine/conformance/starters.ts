/**
 * How each engine is made for the suite. An engine that blocks its thread gives a `wakeDescriptor` (an eventfd),
 * calls `poll` on every wake-up to take its messages, and returns from `run` after `stop()`.
 */
import type { Engine, EngineHost } from '../engine.ts';
import type { StartOptions } from './messages.ts';

export interface Started {
  readonly engine: Engine;
  /** An eventfd the process writes to after each message; undefined if the thread's event loop runs. */
  readonly wakeDescriptor: number | undefined;
  /** Runs until stop(); returns at once if the thread's event loop does the work. */
  run(): void;
}

export type Starter = (host: EngineHost, options: StartOptions, poll: () => void) => Started;

/** Imports the engine's modules, so that everything they open once is open before descriptors are counted. */
export async function loadStarter(name: string): Promise<Starter> {
  switch (name) {
    case 'portable': {
      const { createPortableEngine } = await import('../portable/portable.ts');
      return (host, options) => ({
        engine: createPortableEngine(host, { ...options, nowMs: () => performance.now() }),
        wakeDescriptor: undefined,
        run: () => {},
      });
    }
    case 'epoll': {
      const { createEpollEngine } = await import('../epoll/engine.ts');
      return (host, options, poll) => {
        const onWake = (): number => {
          poll();
          return 1_000;
        };
        const nowMs = (): number => performance.now();
        const engine = createEpollEngine(host, { ...options, reusePort: true, nowMs, onWake });
        return { engine, wakeDescriptor: engine.wakeDescriptor, run: () => engine.run() };
      };
    }
    default:
      throw new Error(`no engine called ${name}`);
  }
}
