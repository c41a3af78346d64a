/**
 * How each engine is made for the suite. An engine that blocks its thread gives a `wakeDescriptor` (an eventfd),
 * calls `poll` on every wake-up to take its messages, and returns from `run` after `stop()`.
 */
import type { Engine } from '../engine.ts';
import type { StartOptions, ToEngine } from './messages.ts';
import type { Recorder } from './recorder.ts';

export interface Started {
  readonly engine: Engine;
  /** An eventfd the process writes to after each message; undefined if the thread's event loop runs. */
  readonly wakeDescriptor: number | undefined;
  /** Runs until stop(); returns at once if the thread's event loop does the work. */
  run(): void;
  /** Of an engine that does not ask the host whom a client is for, and has to know before: it hears each order before its time. */
  hears?(message: ToEngine): void;
  /** Of an engine that carries out orders later: resolves when it has done what it was told, and told what has happened. */
  settled?(): Promise<void>;
  /** `terminate` returns before the flow is closed. */
  readonly endsLater?: boolean;
}

export type Starter = (host: Recorder, options: StartOptions, poll: () => void) => Started;

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
    case 'kernel': {
      const { startKernelEngine } = await import('./kernel-engine.ts');
      return startKernelEngine;
    }
    default:
      throw new Error(`no engine called ${name}`);
  }
}
