/**
 * Which engine serves: the one decision behind `engine: auto`, with the reason an operator reads in the log.
 *
 * The epoll engine's modules are loaded by asking, and only then, so that where koffi has no binary, or a
 * container's rules forbid epoll, the portable engine still starts.
 */
import type { Plan } from '../core/plan.ts';

export interface EngineDecision {
  readonly engine: 'epoll' | 'portable';
  /** A clause for one log line: why this one. */
  readonly reason: string;
  /** False: what was asked for by name cannot be had here. */
  readonly works: boolean;
  /** What keeps the faster engine from serving, though nobody asked for the other one. */
  readonly obstacle?: string;
}

/** @returns undefined if the epoll engine works here, else what is in the way */
export type EpollProbe = () => Promise<string | undefined>;

/**
 * Decides once per process. With `wanted: epoll` where epoll does not work, the answer is epoll all the same, marked
 * as not working: what was asked for by name is not quietly replaced; the reason says what is in the way.
 */
export async function decideEngine(
  wanted: Plan['engine'],
  probe: EpollProbe = probeEpoll,
): Promise<EngineDecision> {
  if (wanted === 'portable') return { engine: 'portable', reason: 'the configuration says so', works: true };
  const obstacle = await probe();
  if (wanted === 'epoll') {
    return {
      engine: 'epoll',
      reason: obstacle ?? 'the configuration says so',
      works: obstacle === undefined,
    };
  }
  if (obstacle === undefined) return { engine: 'epoll', reason: 'epoll works here', works: true };
  return { engine: 'portable', reason: `epoll does not work here: ${obstacle}`, works: true, obstacle };
}

/** What an operator has to know of the decision before anything is served: a fall back is several times slower. */
export function engineWarnings({ obstacle }: EngineDecision): readonly string[] {
  if (obstacle === undefined) return [];
  return [
    `engine: the portable engine serves, which takes several times the CPU, as epoll does not work here: ${obstacle}; engine: portable takes it without this warning`,
  ];
}

async function probeEpoll(): Promise<string | undefined> {
  if (process.platform !== 'linux') return `this is ${process.platform}, not Linux`;
  if (process.arch !== 'x64' && process.arch !== 'arm64') return `no support for ${process.arch}`;
  try {
    const { probe } = await import('./epoll/probe.ts');
    return probe();
  } catch (error) {
    return error instanceof Error ? error.message : String(error);
  }
}
