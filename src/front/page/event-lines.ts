/**
 * Server-sent events out of a stream of text, in whatever pieces it comes (WHATWG HTML, 9.2.6). Pure. The browser's own
 * EventSource cannot send a token, so the page reads them by itself.
 */

export interface ServerEvent {
  /** `message` where the server names none. */
  readonly type: string;
  readonly data: string;
  readonly id: string | undefined;
}

export class EventLines {
  #rest = '';
  #type = '';
  #id: string | undefined;
  #data: string[] = [];

  /** @returns the events that are complete with this piece */
  push(text: string): ServerEvent[] {
    const lines = (this.#rest + text).split('\n');
    this.#rest = lines.pop() ?? '';
    return lines.flatMap((line) => this.#line(line.replace(/\r$/, '')) ?? []);
  }

  #line(line: string): ServerEvent | undefined {
    if (line === '') return this.#end();
    // With `s`: names and messages of others may hold what JavaScript takes for ends of lines (U+2028).
    const [, field, value = ''] = /^([^:]*)(?:: ?(.*))?$/s.exec(line) ?? [];
    if (field === 'data') this.#data.push(value);
    else if (field === 'event') this.#type = value;
    else if (field === 'id') this.#id = value;
    return undefined;
  }

  #end(): ServerEvent | undefined {
    const data = this.#data;
    const type = this.#type || 'message';
    this.#data = [];
    this.#type = '';
    return data.length === 0 ? undefined : { type, data: data.join('\n'), id: this.#id };
  }
}
