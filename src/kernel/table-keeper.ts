/**
 * Keeps our table of nftables as it is wanted: one transaction at a time, of what differs from what is there. What is there is read
 * where it is not known: at the beginning (a predecessor's table is taken over as it stands), after a transaction that failed, and
 * when somebody else has deleted the table.
 *
 *    change() ----------> known? -- no --> read
 *                           \--> wanted --> differs? -- nft --> known
 *                                                  \--> failed: told, and again after a while, unknown
 *    changeElements() --> known? -- no --> the same
 *                           \--> their differences alone -- nft --> known, failed as above
 *
 * Does not promise: to notice a single rule or element that somebody else changes in our table.
 */
import type { NftResult } from '../linux/nft.ts';

export interface TableKeeperOptions<Table> {
  readonly run: (commands: string) => Promise<NftResult>;
  /** What is there; undefined: nothing. */
  readonly read: () => Promise<Table | undefined>;
  /** What the table should be now. */
  readonly want: () => Table;
  /** What makes one into the other; nothing to do: an empty text. */
  readonly transaction: (from: Table | undefined, to: Table) => string;
  /** What is done with elements that were changed in place since `want` or this was asked last, and is known for done from here on. */
  readonly elements: () => string;
  /** A command that fails when the table is not there, and is cheap. */
  readonly probe: string;
  readonly nowMs: () => number;
  readonly told: (what: TableNews) => void;
}

export type TableNews =
  | { readonly type: 'failed'; readonly message: string }
  /** Somebody else has deleted the table. */
  | { readonly type: 'gone' }
  /** `isMade`: it was not there before. */
  | { readonly type: 'changed'; readonly isMade: boolean };

const probeEveryMs = 1_000;
const againAfterMs = 1_000;

export class TableKeeper<Table> {
  private readonly options: TableKeeperOptions<Table>;
  private known: { readonly table: Table | undefined } | undefined;
  private isDue = false;
  /** Of elements alone. */
  private isPartDue = false;
  private isBusy = false;
  private isClosed = false;
  private notBeforeMs = Number.NEGATIVE_INFINITY;
  private probedAtMs = 0;
  private waiting: ((error: string | undefined) => void)[] = [];

  constructor(options: TableKeeperOptions<Table>) {
    this.options = options;
  }

  /** What is wanted may be another now. @param done when a transaction that began after this call went through, or failed */
  change(done?: (error: string | undefined) => void): void {
    this.isDue = true;
    if (done !== undefined) this.waiting.push(done);
  }

  /** Elements are others now, and what is known for wanted besides is as before. */
  changeElements(): void {
    this.isPartDue = true;
  }

  /** What is there, as far as it is known. */
  get present(): Table | undefined {
    return this.known?.table;
  }

  /** Resolves when what is wanted now is there, or could not be made. */
  settled(): Promise<void> {
    if (!this.isDue && !this.isPartDue && !this.isBusy) return Promise.resolve();
    // After what is under way something may be due that nobody has asked for yet.
    this.isPartDue = true;
    return new Promise((resolve) => void this.waiting.push(() => resolve()));
  }

  /** Call it often. */
  turn(): void {
    if (this.isBusy || this.isClosed) return;
    const nowMs = this.options.nowMs();
    const isProbed = nowMs - this.probedAtMs < probeEveryMs || this.known?.table === undefined;
    if ((this.isDue || this.isPartDue) && nowMs >= this.notBeforeMs) this.carryOut(() => this.apply());
    else if (!isProbed) this.carryOut(() => this.probe());
  }

  /** No transaction begins any more; the table stays. */
  close(): void {
    this.isClosed = true;
  }

  private carryOut(run: () => Promise<void>): void {
    this.isBusy = true;
    // What is wanted may be more than a table can say: that too is told, and tried again.
    const settled = run().catch((error) => {
      this.failed(this.waiting.splice(0), error instanceof Error ? error.message : String(error));
    });
    void settled.then(() => {
      this.isBusy = false;
    });
  }

  private async apply(): Promise<void> {
    const { want, read, transaction, elements } = this.options;
    if (this.known !== undefined && !this.isDue) return this.make(elements(), this.known.table);
    try {
      this.known ??= { table: await read() };
    } catch (error) {
      return this.failed(this.waiting.splice(0), String(error));
    }
    if (this.isClosed) return;
    const wanted = want();
    return this.make(transaction(this.known.table, wanted), wanted);
  }

  private async make(text: string, wanted: Table | undefined): Promise<void> {
    const { run, told, nowMs } = this.options;
    const isMade = this.known?.table === undefined;
    this.isDue = false;
    this.isPartDue = false;
    const done = this.waiting.splice(0);
    const result = text === '' ? undefined : await run(text);
    if (result?.ok === false) return this.failed(done, result.error);
    this.known = { table: wanted };
    this.probedAtMs = nowMs();
    if (result !== undefined) told({ type: 'changed', isMade });
    for (const tell of done) tell(undefined);
  }

  private failed(waiting: readonly ((error: string) => void)[], message: string): void {
    if (this.isClosed) return;
    this.known = undefined;
    this.isDue = true;
    this.notBeforeMs = this.options.nowMs() + againAfterMs;
    this.options.told({ type: 'failed', message });
    for (const tell of waiting) tell(message);
  }

  private async probe(): Promise<void> {
    const { run, probe, told, nowMs } = this.options;
    this.probedAtMs = nowMs();
    if ((await run(probe)).ok || this.isClosed) return;
    this.known = undefined;
    this.isDue = true;
    told({ type: 'gone' });
  }
}
