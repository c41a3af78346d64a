/**
 * The lists of `allow` and `deny`, in memory that all threads share: one copy of each file, however many listeners name it and
 * however many workers search it. Files are the operator's own, so control reads them, within bounds and off the data path.
 *
 *    new file ---read at once---> good: in use       bad: the start, or the reload, is refused
 *    in use ----it changes------> good: in use, and open flows of who is denied now end
 *                            \--> bad: told once, with file:line; the last good list stays
 */
import { readAddressFile } from '../config/address-file.ts';
import type { AccessView, AddressList } from '../core/access.ts';
import { RangesBuilder } from '../core/address-ranges.ts';
import { parseCidr } from '../core/cidr.ts';
import type { Reading } from '../core/options.ts';
import type { AccessListPlan, ListenerPlan, Plan } from '../core/plan.ts';
import type { ControlWatcher } from './events.ts';
import { StartFailure } from './listeners.ts';
import { WatchedFile } from './watched-file.ts';

export interface AccessListStatus {
  readonly file: string;
  /** Lines with an address or a network, of the list in use. */
  readonly entries: number;
  /** ISO 8601, when the list in use was read. */
  readonly readAt: string;
  /** Other files that could not be used. */
  readonly failures: number;
  /** Why the file as it is now cannot be used; null: it is in use. */
  readonly fault: string | null;
}

/** What a file held. The same object while it is the same. */
interface Held {
  readonly shared: SharedArrayBuffer;
  readonly entries: number;
}

interface Kept {
  readonly file: WatchedFile<Held>;
  held: Held;
  /** Changes with what it holds. */
  version: number;
  readAt: Date;
  failures: number;
  fault: string | undefined;
}

export interface AccessListsOptions {
  readonly watch: ControlWatcher;
  /** A list is another one: the workers are to have it. */
  readonly changed: () => void;
  /** Default: the reader there is. */
  readonly read?: (path: string) => Reading<Held>;
}

export class AccessLists {
  private readonly options: AccessListsOptions;
  private readonly files = new Map<string, Kept>();
  /** What stands in the configuration itself. */
  private readonly written = new WeakMap<AccessListPlan, { version: number; shared: SharedArrayBuffer }>();
  private nextVersion = 1;

  constructor(options: AccessListsOptions) {
    this.options = options;
  }

  /**
   * Reads the files that are new. Blocks.
   * @throws StartFailure for one that cannot be used; then none of them is kept
   */
  prepare(plan: Pick<Plan, 'listeners'>): void {
    const fresh = new Map<string, Kept>();
    for (const { listener, key, path } of filesOf(plan)) {
      if (this.files.has(path) || fresh.has(path)) continue;
      const file = new WatchedFile<Held>({
        path,
        read: this.options.read ?? readAddressFile,
        tell: (held, fault) => this.heard(path, held, fault),
      });
      const reading = file.readNow();
      if ('refused' in reading) throw new StartFailure(`listener ${listener}: ${key}: ${reading.refused}`);
      const readAt = new Date();
      const version = this.nextVersion++;
      fresh.set(path, { file, held: reading.value, version, readAt, failures: 0, fault: undefined });
    }
    for (const [path, kept] of fresh) {
      this.files.set(path, kept);
      kept.file.start();
    }
  }

  /** Forgets the files that this plan does not name. */
  settle(plan: Pick<Plan, 'listeners'>): void {
    const named = new Set(filesOf(plan).map(({ path }) => path));
    for (const [path, { file }] of this.files) {
      if (named.has(path)) continue;
      file.stop();
      this.files.delete(path);
    }
  }

  stop(): void {
    this.settle({ listeners: [] });
  }

  /** What workers are to know of a listener; its files have been prepared. */
  view({ allow, deny }: Pick<ListenerPlan, 'allow' | 'deny'>): { access?: AccessView } {
    if (allow === undefined && deny === undefined) return {};
    const version = [allow, deny].map((list) => (list === undefined ? '' : this.versionOf(list)));
    return {
      access: {
        version: version.join('|'),
        allow: allow && this.listsOf(allow),
        deny: deny === undefined ? [] : this.listsOf(deny),
      },
    };
  }

  status(): AccessListStatus[] {
    return [...this.files].map(([file, { held, readAt, failures, fault }]) => ({
      file,
      entries: held.entries,
      readAt: readAt.toISOString(),
      failures,
      fault: fault ?? null,
    }));
  }

  private heard(path: string, held: Held | undefined, fault: string | undefined): void {
    const kept = this.files.get(path);
    if (kept === undefined) return;
    const { watch, changed } = this.options;
    if (held === undefined) {
      if (kept.fault === fault) return;
      kept.fault = fault ?? '';
      kept.failures++;
      watch({ event: 'access-list-failed', file: path, message: kept.fault, kept: kept.held.entries });
      return;
    }
    if (held === kept.held && kept.fault === undefined) return;
    const isOther = held !== kept.held;
    kept.fault = undefined;
    kept.held = held;
    if (isOther) {
      kept.version = this.nextVersion++;
      kept.readAt = new Date();
    }
    watch({ event: 'access-list-read', file: path, entries: held.entries });
    if (isOther) changed();
  }

  private listsOf(list: AccessListPlan): AddressList[] {
    return [
      ...list.files.map((file) => ({ file, shared: this.files.get(file)!.held.shared })),
      ...(list.networks.length === 0 ? [] : [{ file: undefined, shared: this.writtenIn(list).shared }]),
    ];
  }

  private versionOf(list: AccessListPlan): string {
    const files = list.files.map((file) => this.files.get(file)!.version);
    return [...files, this.writtenIn(list).version].join(',');
  }

  private writtenIn(list: AccessListPlan): { version: number; shared: SharedArrayBuffer } {
    const known = this.written.get(list);
    if (known !== undefined) return known;
    const builder = new RangesBuilder();
    for (const [i, text] of list.networks.entries()) builder.add(parseCidr(text)!, i + 1);
    const made = { version: this.nextVersion++, shared: builder.build() };
    this.written.set(list, made);
    return made;
  }
}

interface NamedFile {
  readonly listener: string;
  readonly key: 'allow' | 'deny';
  readonly path: string;
}

function filesOf({ listeners }: Pick<Plan, 'listeners'>): NamedFile[] {
  return listeners.flatMap((plan) =>
    (['allow', 'deny'] as const).flatMap((key) =>
      (plan[key]?.files ?? []).map((path) => ({ listener: plan.name, key, path })),
    ),
  );
}
