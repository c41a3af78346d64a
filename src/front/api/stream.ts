/**
 * `/v1/stream`: the state every second and events as they come, as server-sent events (the HTML standard, "Server-sent events").
 *
 * A client costs a bounded part of this thread however slowly it reads: a state is made once for all, and one that has not been taken when
 * the next is made is the last it gets until it has; events it gets from the log of events, where it has a place and nothing of its own. Who
 * takes nothing for {@link httpTakenMs} is cut, and so is whose token is another one by now. When it comes again it says which event it has seen last (Last-Event-ID) and goes on from there.
 */
import { httpTakenMs, pageRestPerRenderTime } from '../../core/limits.ts';
import type { Access, OutStream, StreamedAnswer } from '../answer.ts';
import type { EventLog } from './events.ts';

const stateEveryMs = 1_000;
/** A state that takes long (tens of thousands of backends) is followed by a rest, of control's, too; whoever follows waits no longer than this. */
const stateRestMsMax = 2_000;
const eventsAtOnceMax = 100;
/** After so long a client whose connection is lost comes again. */
const retryMs = 2_000;

export interface StreamSource {
  readonly events: EventLog;
  /** The status page as JSON. Rejects when control does not answer. */
  readonly state: (access: Access) => Promise<string>;
}

interface Client {
  readonly stream: OutStream;
  readonly access: Access;
  readonly accessNow: () => Access | 'wrong-token';
  /** The number of the last event it was told of. */
  told: number;
  isGap: boolean;
  /** Since when it has not taken what it was told; undefined: it has. */
  behindSinceMs: number | undefined;
}

export class StreamHub {
  private readonly source: StreamSource;
  private readonly clients = new Set<Client>();
  private timer: NodeJS.Timeout | undefined;
  private isTelling = false;
  private restUntilMs = Number.NEGATIVE_INFINITY;

  constructor(source: StreamSource) {
    this.source = source;
    source.events.onNews = () => {
      for (const client of this.clients) this.tell(client);
    };
  }

  /**
   * @param since the id of the last event that the client has; undefined: it gets those to come
   * @param accessNow what the client may do at a later moment
   * @returns undefined if `since` is no id
   */
  answer(
    access: Access,
    since: string | undefined,
    accessNow: Client['accessNow'] = () => access,
  ): StreamedAnswer | undefined {
    const { events } = this.source;
    const place = since === undefined ? { after: events.last, isGap: false } : events.place(since);
    if (place === undefined) return undefined;
    return {
      status: 200,
      contentType: 'text/event-stream; charset=utf-8',
      begin: (stream) =>
        this.begin({
          stream,
          access,
          accessNow,
          told: place.after,
          isGap: place.isGap,
          behindSinceMs: undefined,
        }),
    };
  }

  private begin(client: Client): void {
    const { stream } = client;
    this.clients.add(client);
    stream.onGone = () => {
      this.clients.delete(client);
      if (this.clients.size > 0) return;
      clearInterval(this.timer);
      this.timer = undefined;
    };
    stream.onTaken = () => {
      client.behindSinceMs = undefined;
      this.tell(client);
    };
    this.timer ??= setInterval(() => void this.tick(), stateEveryMs);
    void this.tellState([client]);
  }

  private async tick(): Promise<void> {
    const nowMs = performance.now();
    for (const client of [...this.clients]) {
      if (client.behindSinceMs !== undefined && nowMs - client.behindSinceMs > httpTakenMs)
        client.stream.cut('slow-reader');
      else if (client.accessNow() !== client.access) client.stream.cut('token');
    }
    if (this.isTelling || nowMs < this.restUntilMs) return;
    this.isTelling = true;
    await this.tellState([...this.clients]);
    this.isTelling = false;
    const endMs = performance.now();
    this.restUntilMs = endMs + Math.min((endMs - nowMs) * pageRestPerRenderTime, stateRestMsMax);
  }

  /** One that has not taken what it was told before gets the next state, or the one after it. */
  private async tellState(clients: readonly Client[]): Promise<void> {
    const made = new Map<Access, Promise<Uint8Array>>();
    const make = async (access: Access): Promise<Uint8Array> => {
      try {
        return Buffer.from(`retry: ${retryMs}\nevent: state\ndata: ${await this.source.state(access)}\n\n`);
      } catch {
        // The next second control may answer. A comment keeps awake what is between us and the client.
        return Buffer.from(': control does not answer\n\n');
      }
    };
    for (const client of clients) {
      const { access, stream } = client;
      if (!stream.isTaken) continue;
      const bytes = made.get(access) ?? make(access);
      made.set(access, bytes);
      const state = await bytes;
      if (stream.isTaken && this.clients.has(client)) this.write(client, state);
    }
  }

  /** What has happened since it was told last, as far as it takes it. */
  private tell(client: Client): void {
    const { events } = this.source;
    if (!client.stream.isTaken || client.told >= events.last) return;
    const rows = events.after(client.told, eventsAtOnceMax);
    const first = rows[0];
    if (first === undefined) return;
    const isGap = client.isGap || events.numberOf(first) !== client.told + 1;
    client.isGap = false;
    client.told = events.numberOf(rows.at(-1)!);
    const gap = isGap ? 'event: gap\ndata: {}\n\n' : '';
    const text = rows.map((row) => `id: ${row.id}\nevent: event\ndata: ${JSON.stringify(row)}\n\n`).join('');
    this.write(client, Buffer.from(gap + text));
  }

  private write(client: Client, bytes: Uint8Array): void {
    client.behindSinceMs ??= performance.now();
    client.stream.write(bytes);
  }
}
