/** An answer that goes on, over HTTP: what was written, and whether it has been taken from us. */
import type { ServerResponse } from 'node:http';
import type { OutStream } from './answer.ts';

export class HttpStream implements OutStream {
  onTaken = (): void => {};
  onGone = (): void => {};
  readonly #response: ServerResponse;
  readonly #cut: OutStream['cut'];
  #waiting = 0;

  constructor(response: ServerResponse, cut: OutStream['cut']) {
    this.#response = response;
    this.#cut = cut;
    response.once('close', () => this.onGone());
  }

  get isTaken(): boolean {
    return this.#waiting === 0;
  }

  write(bytes: Uint8Array): void {
    if (this.#response.destroyed) return;
    this.#waiting += 1;
    this.#response.write(bytes, () => {
      this.#waiting -= 1;
      if (this.#waiting === 0) this.onTaken();
    });
  }

  cut(why: 'slow-reader' | 'token'): void {
    this.#cut(why);
  }
}
