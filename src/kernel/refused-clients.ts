/**
 * Clients whom the kernel's rules turned away, by the named counters of the table: they are read and set back now and then, and what
 * they had is counted with the listener's refusals.
 *
 * Does not know who they were.
 */
import { refusedReadEveryMs } from '../core/limits.ts';
import type { ListenerView } from '../core/snapshot.ts';
import { type TerminationCode, terminationIndex } from '../core/termination.ts';
import type { NftResult } from '../linux/nft.ts';
import { safeName } from './layout.ts';
import { countersOf } from './present.ts';

export interface RefusedClientsOptions {
  readonly table: string;
  /** A command of nft, answered in JSON. */
  readonly list: (command: string) => Promise<NftResult>;
  readonly refused: (listener: ListenerView, code: TerminationCode, count: number) => void;
  readonly nowMs: () => number;
}

export class RefusedClients {
  private readonly options: RefusedClientsOptions;
  private readAtMs = 0;
  private isReading = false;

  constructor(options: RefusedClientsOptions) {
    this.options = options;
  }

  /** Call it often. @param counters names of those that the table has */
  turn(counters: Iterable<string>, listeners: readonly ListenerView[]): void {
    const nowMs = this.options.nowMs();
    if (this.isReading || nowMs - this.readAtMs < refusedReadEveryMs) return;
    this.readAtMs = nowMs;
    this.isReading = true;
    void this.read([...counters], listeners).then(() => {
      this.isReading = false;
    });
  }

  private async read(counters: readonly string[], listeners: readonly ListenerView[]): Promise<void> {
    const { table, list, refused } = this.options;
    for (const name of counters) {
      const [kind, code, ...rest] = name.split('/');
      const listener = listeners.find(({ plan }) => safeName(plan.name) === rest.join('/'));
      if (kind !== 'refused' || listener === undefined || !isCode(code)) continue;
      const answer = await list(`reset counter inet ${table} ${name}`);
      // The nft command, where the library is missing, answers nothing to this.
      if (!answer.ok || answer.output === '') continue;
      const count = countersOf(JSON.parse(answer.output), table).get(name) ?? 0;
      if (count > 0) refused(listener, code, count);
    }
  }
}

function isCode(text: string | undefined): text is TerminationCode {
  return terminationIndex.has(text as TerminationCode);
}
