/**
 * Control's end of the front room: answers its questions, carries out its orders. A room that starts again listens
 * where its predecessor did.
 */
import { frontHeapMibMax } from '../core/limits.ts';
import type { Bind } from '../core/plan.ts';
import { RoomClient, type RoomEvents } from '../rooms/client.ts';
import type { SharedMemory } from '../rooms/shared.ts';
import type { FrontRoomData, PageData } from './entry.ts';
import type { KeptEvent } from './events-kept.ts';
import type { Answer } from './http.ts';
import type { MessageFromFront, Order, PageName } from './messages-from-front.ts';
import type { MessageToFront } from './messages-to-front.ts';
import type { FrontState, SentState } from './state.ts';
import { Telling } from './told-backends.ts';

export interface FrontClientOptions extends RoomEvents {
  readonly shared: SharedMemory;
  readonly version: string;
  /** undefined: there is no cluster. */
  readonly shards: number | undefined;
  readonly pages: readonly PageData[];
  readonly state: () => FrontState;
  /** What a new thread is told of what has happened. */
  readonly events: () => readonly KeptEvent[];
  /** Tells this process from its predecessors. */
  readonly run: string;
  /** Never rejects. */
  readonly obey: (order: Order) => Promise<Answer>;
}

export interface OpenPage extends PageData {
  /** As drawn; 0 on a unix socket. */
  readonly port: number;
}

/** A page cannot be served at its address. */
export class PageFailure extends Error {
  readonly page: PageData;

  constructor(page: PageData, message: string) {
    super(message);
    this.page = page;
  }
}

const stopWithinMs = 1_000;

export class FrontClient {
  readonly room: RoomClient<MessageToFront, MessageFromFront>;
  private readonly options: FrontClientOptions;
  private readonly ports = new Map<PageName, number>();
  private readonly telling = new Telling();
  private opening:
    | { readonly resolve: (pages: OpenPage[]) => void; readonly reject: (error: Error) => void }
    | undefined;

  constructor(options: FrontClientOptions) {
    this.options = options;
    const { died, restarted, file } = options;
    this.room = new RoomClient<MessageToFront, MessageFromFront>({
      name: 'front',
      entry: new URL('./entry.js', import.meta.url),
      data: () => this.roomData(),
      heapMibMax: frontHeapMibMax,
      message: (message) => this.hear(message),
      started: () => this.room.post({ type: 'events', events: options.events() }),
      died: (death) => {
        this.opening?.reject(new Error(`the front room died: ${death.message}`));
        died(death);
      },
      restarted,
      file,
    });
  }

  /**
   * Opens all pages.
   * @throws PageFailure for the first that cannot be served
   */
  open(): Promise<OpenPage[]> {
    return new Promise((resolve, reject) => {
      const over = (): void => {
        this.opening = undefined;
      };
      this.opening = {
        resolve: (pages) => {
          over();
          resolve(pages);
        },
        reject: (error) => {
          over();
          reject(error);
        },
      };
      this.room.start();
    });
  }

  /** One more has happened. */
  tell(event: KeptEvent): void {
    this.room.post({ type: 'events', events: [event] });
  }

  /** Stops listening, and cuts off who is connected. */
  stop(): Promise<void> {
    return this.room.stop({ type: 'stop' }, stopWithinMs);
  }

  private roomData(): FrontRoomData {
    const { shared, version, shards, run, pages } = this.options;
    return {
      shared,
      version,
      shards,
      run,
      isAgain: this.room.starts > 1,
      pages: pages.map((one) => ({ ...one, bind: this.drawn(one.page, one.bind) })),
    };
  }

  private drawn(page: PageName, bind: Bind): Bind {
    return bind.kind === 'unix' ? bind : { ...bind, port: this.ports.get(page) ?? bind.port };
  }

  private hear(message: MessageFromFront): void {
    switch (message.type) {
      case 'listening': {
        this.ports.set(message.page, message.port);
        const { pages } = this.options;
        if (this.ports.size < pages.length) break;
        this.opening?.resolve(pages.map((one) => ({ ...one, port: this.ports.get(one.page)! })));
        break;
      }
      case 'not-listening': {
        const page = this.options.pages.find((one) => one.page === message.page)!;
        // Later it is tried again, as after any other death.
        if (this.opening !== undefined) this.opening.reject(new PageFailure(page, message.message));
        else this.room.giveUp(`${message.page} cannot be served again: ${message.message}`);
        break;
      }
      case 'ask':
        this.room.post({ type: 'state', id: message.id, state: this.sent(message) });
        break;
      case 'order':
        void this.options
          .obey(message.order)
          .then((answer) => this.room.post({ type: 'answer', id: message.id, answer }));
        break;
    }
  }

  private sent({ generation, heard }: { readonly generation: number; readonly heard: number }): SentState {
    const { published, backends, ...state } = this.options.state();
    return {
      ...state,
      backends: this.telling.next(backends, heard),
      published: published.generation === generation ? undefined : published,
    };
  }
}
