/**
 * Numbers for the clients of proxies that speak for many of them from one socket. In the table of conversations such a number
 * stands in a listener's place, so that those of one sender are as far apart in it as those of many, and everybody else's are found
 * as fast as without. Negative, while ids of listeners are not; given again when nobody has them any more.
 */
interface Scope {
  readonly number: number;
  readonly name: string;
  conversations: number;
}

export class PrefaceScopes {
  readonly #byName = new Map<string, Scope>();
  readonly #byNumber = new Map<number, Scope>();
  readonly #free: number[] = [];

  /** Undefined: nobody has a conversation about it. */
  of(listenerId: number, about: string): number | undefined {
    return this.#byName.get(`${listenerId} ${about}`)?.number;
  }

  /** For one conversation more. */
  enter(listenerId: number, about: string): number {
    const name = `${listenerId} ${about}`;
    let scope = this.#byName.get(name);
    if (scope === undefined) {
      const number = this.#free.pop() ?? -1 - this.#byNumber.size;
      scope = { number, name, conversations: 0 };
      this.#byName.set(name, scope);
      this.#byNumber.set(number, scope);
    }
    scope.conversations++;
    return scope.number;
  }

  /** A conversation is over. A listener's id is no such number, and nothing happens. */
  leave(number: number): void {
    if (number >= 0) return;
    const scope = this.#byNumber.get(number);
    if (scope === undefined || --scope.conversations > 0) return;
    this.#byName.delete(scope.name);
    this.#byNumber.delete(number);
    this.#free.push(number);
  }
}
