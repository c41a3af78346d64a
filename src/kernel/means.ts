/**
 * What the kernel's thread needs of Linux, so that what it decides can be tested without rights: text for nft, the entries of
 * conntrack as they come and as they are listed, and deleting some. The real ones are in linux-means.ts.
 */
import type { Nft } from '../linux/nft.ts';
import type { ConntrackEntry, ConntrackGlance } from '../wire/conntrack.ts';

export interface KernelMeans {
  readonly nft: Pick<Nft, 'run' | 'list'>;
  /**
   * Shows what has come since the last call.
   * @param isDone asked first, with what costs less to make: true, and nothing more is shown of it
   * @returns false: events were lost
   */
  receive(visit: (entry: ConntrackEntry) => void, isDone?: (glance: ConntrackGlance) => boolean): boolean;
  /**
   * Shows all entries of our rules, of both families. One list at a time.
   * @param isOfAll those of everybody else as well
   * @param isDone as for {@link receive}
   * @returns false: the list is not whole
   */
  list(
    visit: (entry: ConntrackEntry) => void,
    isOfAll?: boolean,
    isDone?: (glance: ConntrackGlance) => boolean,
  ): Promise<boolean>;
  /** The same entry as it is now; undefined: it is gone, or it cannot be asked for. */
  look(entry: ConntrackEntry): ConntrackEntry | undefined;
  /** Packets that were to begin connections and could have no entry, of all programs, modulo 2^32; undefined: it cannot be asked for. */
  drops(): number | undefined;
  /** Those that are gone already are passed over. */
  remove(entries: readonly ConntrackEntry[]): void;
  close(): void;
}
