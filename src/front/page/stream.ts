/**
 * The stream of states and events, read for as long as somebody looks. It comes back by itself: a connection that ends, or
 * that says nothing for a while, is made again. What the page shows meanwhile is what it knew last, and it says so.
 */
import { headers, Refusal } from './api.ts';
import { EventLines, type ServerEvent } from './event-lines.ts';

/** A state comes every second. */
const silentMs = 6_000;
const retryMs = { least: 500, most: 5_000 } as const;

export interface StreamWatcher {
  onEvent(event: ServerEvent): void;
  /** Undefined: it is connected. Otherwise why it is not. */
  onConnection(lost: unknown): void;
}

export class Stream {
  readonly #path: string;
  readonly #watcher: StreamWatcher;
  #lastId: string | undefined;
  #abort: AbortController | undefined;
  #waitMs: number = retryMs.least;
  #timer: number | undefined;

  constructor(path: string, watcher: StreamWatcher) {
    this.#path = path;
    this.#watcher = watcher;
  }

  /** It is connected, or tries to be. */
  get isOpen(): boolean {
    return this.#abort !== undefined;
  }

  open(): void {
    this.close();
    const abort = new AbortController();
    this.#abort = abort;
    this.#read(abort).then(
      () => this.#lost(abort, undefined),
      (error: unknown) => this.#lost(abort, error),
    );
  }

  close(): void {
    clearTimeout(this.#timer);
    this.#abort?.abort();
    this.#abort = undefined;
  }

  #lost(abort: AbortController, error: unknown): void {
    if (this.#abort !== abort) return;
    this.#watcher.onConnection(error ?? new Error('the stream ended'));
    if (error instanceof Refusal && (error.status === 401 || error.status === 403)) return;
    this.#timer = setTimeout(() => this.open(), this.#waitMs);
    this.#waitMs = Math.min(this.#waitMs * 2, retryMs.most);
  }

  /** Until the connection ends. */
  async #read(abort: AbortController): Promise<void> {
    let watchdog = setTimeout(() => abort.abort(), silentMs);
    try {
      const last = this.#lastId === undefined ? {} : { 'last-event-id': this.#lastId };
      const response = await fetch(this.#path, {
        headers: { ...headers(), ...last },
        cache: 'no-store',
        signal: abort.signal,
      });
      if (!response.ok || response.body === null) {
        // Another process may be there now, which has other events.
        this.#lastId = undefined;
        throw new Refusal(response.status, await response.json().catch(() => undefined));
      }
      this.#waitMs = retryMs.least;
      this.#watcher.onConnection(undefined);
      const lines = new EventLines();
      const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
      for (let piece = await reader.read(); !piece.done; piece = await reader.read()) {
        clearTimeout(watchdog);
        watchdog = setTimeout(() => abort.abort(), silentMs);
        for (const event of lines.push(piece.value)) {
          this.#lastId = event.id ?? this.#lastId;
          this.#watcher.onEvent(event);
        }
      }
    } finally {
      clearTimeout(watchdog);
    }
  }
}
