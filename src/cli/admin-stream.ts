/** Following a running instance: its state every second and its events as they come, over interruptions. */
import { type ClientRequest, request } from 'node:http';
import { formatAddress } from '../core/address-text.ts';
import type { Bind } from '../core/plan.ts';
import type { EventRow, StatusPage } from '../front/api/shapes.ts';
import { failure, placeOf } from './admin-client.ts';
import { AdminFailure } from './admin-failure.ts';
import { ServerSentReader } from './server-sent.ts';

export interface Follower {
  /** The event after which it begins; undefined: with the next one. */
  readonly since?: string | undefined;
  readonly state?: (page: StatusPage) => void;
  readonly event?: (row: EventRow) => void;
  /** It is tried again by itself. */
  readonly lost?: (why: string) => void;
}

const againAfterMs = 1_000;
/** A state comes every second. */
const silentMsMax = 10_000;

export class AdminStream {
  readonly #bind: Bind;
  readonly #follower: Follower;
  #call: ClientRequest | undefined;
  #timer: NodeJS.Timeout | undefined;
  #lastId: string | undefined;
  #isTold = false;
  #isStopped = false;

  constructor(bind: Bind, follower: Follower) {
    this.#bind = bind;
    this.#follower = follower;
    this.#lastId = follower.since;
  }

  start(): void {
    try {
      this.#connect();
    } catch (error) {
      // The file of the token cannot be read now.
      if (!(error instanceof AdminFailure)) throw error;
      this.#again(error.message);
    }
  }

  #connect(): void {
    const { headers, ...place } = placeOf(this.#bind);
    const where = formatAddress(this.#bind);
    const call = request({
      ...place,
      method: 'GET',
      path: '/v1/stream',
      timeout: silentMsMax,
      headers: {
        ...(headers as Record<string, string>),
        accept: 'text/event-stream',
        ...(this.#lastId === undefined ? {} : { 'last-event-id': this.#lastId }),
      },
    });
    this.#call = call;
    let isOver = false;
    const over = (why: string): void => {
      if (isOver) return;
      isOver = true;
      call.destroy();
      this.#again(why);
    };
    call.on('timeout', () => over(`${where} has sent nothing for ${silentMsMax / 1000} s`));
    call.on('error', (error: NodeJS.ErrnoException) =>
      over(
        error.code === 'ENOENT' || error.code === 'ECONNREFUSED'
          ? `no pinion answers on ${where}`
          : failure(where, error).message,
      ),
    );
    call.on('response', (response) => {
      if (response.statusCode !== 200) return over(`${where} answered ${response.statusCode}`);
      const reader = new ServerSentReader();
      response.setEncoding('utf8');
      response.on('data', (piece: string) => {
        if (!this.#take(reader, piece)) over(`${where} sends what pinion would not`);
      });
      response.on('error', () => over(`${where} has closed the connection`));
      response.on('end', () => over(`${where} has closed the connection`));
    });
    call.end();
  }

  stop(): void {
    this.#isStopped = true;
    clearTimeout(this.#timer);
    this.#call?.destroy();
  }

  #take(reader: ServerSentReader, piece: string): boolean {
    const messages = reader.feed(piece);
    if (messages === undefined) return false;
    for (const { event, id, data } of messages) {
      if (this.#isStopped) return true;
      this.#isTold = false;
      if (event !== 'state' && event !== 'event') continue;
      let body: unknown;
      try {
        body = JSON.parse(data);
      } catch {
        return false;
      }
      if (event === 'state') this.#follower.state?.(body as StatusPage);
      else {
        if (id !== '') this.#lastId = id;
        this.#follower.event?.(body as EventRow);
      }
    }
    return true;
  }

  /** The same trouble is told once. */
  #again(why: string): void {
    if (this.#isStopped) return;
    if (!this.#isTold) this.#follower.lost?.(why);
    this.#isTold = true;
    this.#timer = setTimeout(() => this.start(), againAfterMs);
  }
}
