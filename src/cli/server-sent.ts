/**
 * Server-sent events (WHATWG HTML, 9.2.6 "Interpreting an event stream"), as far as pinion sends them: `event`, `id`, `data`. Pure and
 * bounded: a message longer than the bound is refused.
 */

export interface ServerSent {
  readonly event: string;
  /** The last one that was sent, '' before the first. */
  readonly id: string;
  readonly data: string;
}

/** A state of ten thousand backends has about 10 MB. */
const charactersMax = 64 * 1024 * 1024;

export class ServerSentReader {
  #rest: string[] = [];
  #held = 0;
  #event = '';
  #id = '';
  #data: string[] = [];

  /**
   * Takes the next piece of the stream, split anywhere.
   * @returns the messages that are complete with it; undefined: it is no such stream, or one of them is too long
   */
  feed(piece: string): ServerSent[] | undefined {
    const found: ServerSent[] = [];
    const lines = piece.split('\n');
    for (const [i, line] of lines.entries()) {
      this.#held += line.length;
      if (this.#held > charactersMax) return undefined;
      this.#rest.push(line);
      if (i === lines.length - 1) break;
      const whole = this.#rest.join('');
      this.#rest = [];
      const message = this.#line(whole.endsWith('\r') ? whole.slice(0, -1) : whole);
      if (message !== undefined) found.push(message);
    }
    return found;
  }

  #line(line: string): ServerSent | undefined {
    if (line === '') return this.#dispatch();
    const colon = line.indexOf(':');
    const field = colon < 0 ? line : line.slice(0, colon);
    const value = colon < 0 ? '' : line.slice(line.charAt(colon + 1) === ' ' ? colon + 2 : colon + 1);
    if (field === 'event') this.#event = value;
    else if (field === 'data') this.#data.push(value);
    else if (field === 'id' && !value.includes('\0')) this.#id = value;
    return undefined;
  }

  #dispatch(): ServerSent | undefined {
    const message = { event: this.#event || 'message', id: this.#id, data: this.#data.join('\n') };
    const isEmpty = this.#data.length === 0;
    this.#event = '';
    this.#data = [];
    this.#held = 0;
    return isEmpty ? undefined : message;
  }
}
