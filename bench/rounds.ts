/**
 * Runs one work over its peers in alternating rounds. Machines drift: figures of one round stand beside each
 * other, figures of different rounds do not, so every round visits every peer and the next one begins with
 * another. A peer that cannot start or fails is left out with the reason, and the others go on.
 */
import type { BenchSettings, Peer, Sample, Service, Subject, Target, Work } from './work.ts';

export interface PeerSamples {
  readonly peer: Peer;
  /** One per round; empty for a peer that was left out. */
  readonly samples: readonly Sample[];
  /** Why it was left out. */
  readonly failure?: string;
}

export interface WorkResult {
  readonly work: Work;
  readonly peers: readonly PeerSamples[];
}

interface Entry {
  readonly peer: Peer;
  subject: Subject | undefined;
  readonly samples: Sample[];
  failure: string | undefined;
}

export async function runWork(
  work: Work,
  peers: readonly Peer[],
  rounds: number,
  settings: BenchSettings,
  say: (text: string) => void,
): Promise<WorkResult> {
  const backend = await work.startBackend(settings);
  const usable = peers.filter((peer) => peer.transports.includes(work.transport));
  const entries = usable.map(
    (peer): Entry => ({ peer, subject: undefined, samples: [], failure: undefined }),
  );

  /** One step for one peer; a failure takes the peer out and is said once. */
  async function attempt(
    entry: Entry,
    what: string,
    step: (subject: Subject) => Promise<void>,
  ): Promise<void> {
    if (entry.failure !== undefined) return;
    say(`${work.name}: ${entry.peer.title}, ${what}`);
    try {
      entry.subject ??= { peer: entry.peer, relay: await startRelay(work, entry.peer, backend, settings) };
      await step(entry.subject);
    } catch (error) {
      entry.failure = `${what}: ${error instanceof Error ? error.message : String(error)}`.trim();
      entry.samples.length = 0;
    }
    if (work.freshRelay || entry.peer.alone || entry.failure !== undefined) await stopRelay(entry);
  }

  try {
    for (const entry of entries)
      await attempt(entry, 'start', async (subject) => work.prepare?.(subject, settings));
    for (let round = 0; round < rounds; round++) {
      for (let turn = 0; turn < entries.length; turn++) {
        const entry = entries[(round + turn) % entries.length]!;
        await attempt(entry, `round ${round + 1} of ${rounds}`, async (subject) => {
          entry.samples.push(await work.run(subject, settings));
        });
      }
    }
  } finally {
    for (const entry of entries) await stopRelay(entry);
    await backend.stop();
  }
  return {
    work,
    peers: entries.map(({ peer, samples, failure }) => ({ peer, samples, ...(failure && { failure }) })),
  };
}

/** Also for a work that needs another relay for its own preparations. */
export function startRelay(
  { transport, flowsMax }: Pick<Work, 'transport' | 'flowsMax'>,
  peer: Peer,
  backend: Target,
  { cores, places }: BenchSettings,
): Promise<Service> {
  return peer.start({ transport, backend, core: cores.relay, place: places.relay, flowsMax });
}

async function stopRelay(entry: Entry): Promise<void> {
  const { subject } = entry;
  entry.subject = undefined;
  await subject?.relay.stop();
}
