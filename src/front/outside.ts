/**
 * Control as the front room sees it: a state that is at most a moment old, and orders. Pages that are asked for
 * together share one question; control that does not answer in time is an error of the page and of nothing else.
 */
import { orderWithinMs, stateFreshMs, stateWithinMs } from '../core/limits.ts';
import { noNames } from '../pins/names-table.ts';
import type { RoomPost } from '../rooms/serve.ts';
import { Waiting } from '../rooms/waiting.ts';
import type { Answer } from './http.ts';
import type { MessageFromFront, Order } from './messages-from-front.ts';
import type { MessageToFront } from './messages-to-front.ts';
import type { FrontState, Published, SentState } from './state.ts';
import { Heard } from './told-backends.ts';

const late: Answer = { status: 503, body: { error: 'control does not answer; try again' } };

/** Control did not answer in time. */
class ControlSilent extends Error {
  /** Not now, perhaps soon. */
  readonly status = 503;

  constructor() {
    super('control does not answer; try again');
  }
}

export class Outside {
  /** Told of each state as it comes; `isOther`: what is published has changed. */
  onState: (state: FrontState, isOther: boolean) => void = () => {};
  private readonly post: RoomPost<MessageFromFront>;
  private readonly states = new Waiting<SentState | undefined>();
  private readonly orders = new Waiting<Answer>();
  private readonly heard = new Heard();
  private published: Published = { generation: 0, snapshot: undefined, names: noNames };
  private asking: Promise<FrontState> | undefined;
  private latest: FrontState | undefined;
  private latestAtMs = Number.NEGATIVE_INFINITY;
  private knownAsOf = new Date(0);

  constructor(post: RoomPost<MessageFromFront>) {
    this.post = post;
  }

  hear(message: Exclude<MessageToFront, { type: 'stop' | 'events' }>): void {
    if (message.type === 'state') this.states.answer(message.id, message.state);
    else this.orders.answer(message.id, message.answer);
  }

  /** At most {@link stateFreshMs} old. @throws ControlSilent */
  async state(): Promise<FrontState> {
    if (this.latest !== undefined && performance.now() - this.latestAtMs < stateFreshMs) return this.latest;
    this.asking ??= this.ask().finally(() => {
      this.asking = undefined;
    });
    return this.asking;
  }

  /** The last state there was, for what is read while a page is rendered. @throws ControlSilent if there was none */
  get known(): FrontState {
    if (this.latest === undefined) throw new ControlSilent();
    return this.latest;
  }

  /** When control was asked for what is {@link known}: nothing in that is older. */
  get asOf(): Date {
    return this.knownAsOf;
  }

  /** What control answered. What follows sees what it has changed. */
  async order(order: Order): Promise<Answer> {
    const answer = await this.orders.wait(orderWithinMs, late, (id) =>
      this.post({ type: 'order', id, order }),
    );
    this.latestAtMs = Number.NEGATIVE_INFINITY;
    return answer;
  }

  private async ask(): Promise<FrontState> {
    const { generation } = this.published;
    const asOf = new Date();
    const sent = await this.states.wait(stateWithinMs, undefined, (id) =>
      this.post({ type: 'ask', id, generation, heard: this.heard.number }),
    );
    if (sent === undefined) throw new ControlSilent();
    if (sent.published !== undefined) this.published = sent.published;
    const backends = this.heard.take(sent.backends);
    const state: FrontState = { ...sent, backends, published: this.published };
    this.latest = state;
    this.knownAsOf = asOf;
    this.latestAtMs = performance.now();
    this.onState(state, sent.published !== undefined);
    return state;
  }
}
