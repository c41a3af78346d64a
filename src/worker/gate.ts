/** Who may come in at each listener, as the newest lists say: asked for new clients, and of open flows when a list is another one. */
import { Access } from '../core/access.ts';
import type { Address } from '../core/address.ts';
import type { ListenerView } from '../core/snapshot.ts';

export class Gate {
  private accesses = new Map<number, Access>();

  /** @returns whether a listener has other lists than before: somebody whose flow is open may be denied now */
  useListeners(listeners: readonly ListenerView[]): boolean {
    const previous = this.accesses;
    let isOther = false;
    this.accesses = new Map();
    for (const { id, access } of listeners) {
      if (access === undefined) continue;
      const known = previous.get(id);
      const isKnown = known?.version === access.version;
      isOther ||= !isKnown;
      this.accesses.set(id, isKnown ? known : new Access(access));
    }
    return isOther;
  }

  /** @param listener has lists: ask {@link ListenerView.access} first, which costs those without nothing */
  denies({ id }: ListenerView, client: Address): boolean {
    return this.accesses.get(id)?.denies(client) === true;
  }
}
