/**
 * As much of AbortController as a check needs, which is what anybody who takes {@link Cancel} may be given as well. Each check has
 * one, and those of Node.js cost a tenth of a check over TCP.
 */

export interface Cancel {
  readonly aborted: boolean;
  addEventListener(type: 'abort', listener: () => void): void;
  removeEventListener(type: 'abort', listener: () => void): void;
  /** @throws when it is aborted */
  throwIfAborted(): void;
}

export class Cancellation implements Cancel {
  private readonly listeners: (() => void)[] = [];
  aborted = false;

  addEventListener(_: 'abort', listener: () => void): void {
    this.listeners.push(listener);
  }

  removeEventListener(_: 'abort', listener: () => void): void {
    const at = this.listeners.indexOf(listener);
    if (at >= 0) this.listeners.splice(at, 1);
  }

  throwIfAborted(): void {
    if (this.aborted) throw new Error('the check is over');
  }

  /** Calls the listeners in the order in which they came, once. */
  abort(): void {
    if (this.aborted) return;
    this.aborted = true;
    for (const listener of this.listeners.splice(0)) listener();
  }
}
