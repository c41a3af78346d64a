/**
 * UDP clients that wait until they have said where they belong: the hello of QUIC is in one datagram, or in two where its keys are
 * long (ML-KEM). Until then their datagrams wait, as they do for any route.
 *
 * Sources can be forged, so there are only so many: when one more comes, the oldest is routed by what is known, as is who is silent
 * for too long. A client's second datagram comes right behind its first, so that a flood has to be faster than that.
 */
import type { Flow } from '../../core/flow.ts';
import { heardFlowsMax } from '../../core/limits.ts';
import { identifyMsDefault } from '../../core/plan.ts';
import type { RouteFound, Routes, Said } from '../../core/routes.ts';
import { QuicHelloReader } from '../../wire/quic.ts';
import { quicCiphers } from './quic-ciphers.ts';

/** What one client says. */
export class DatagramSpeech {
  private readonly reader: QuicHelloReader | undefined;
  private readonly firstBytesMax: number;
  private said: Said | undefined;

  constructor({ protocols, firstBytesMax }: Routes) {
    this.firstBytesMax = firstBytesMax;
    this.reader = protocols.includes('quic') ? new QuicHelloReader(quicCiphers) : undefined;
  }

  hear(datagram: Uint8Array): Said {
    const hello = this.reader?.read(datagram);
    this.said = {
      spoken:
        typeof hello === 'object' ? [{ protocol: 'quic', name: hello.serverName, alpn: hello.alpn }] : [],
      possible: hello === 'more' ? ['quic'] : [],
      asksFirst: false,
      // First bytes are those of the first datagram, which is whole.
      bytes: this.said?.bytes ?? new Uint8Array(datagram.subarray(0, this.firstBytesMax)),
      isAll: true,
    };
    return this.said;
  }

  /** What is known when nobody waits any longer. */
  get last(): Said {
    return { ...this.said!, possible: [] };
  }
}

interface Waiting {
  readonly routes: Routes;
  readonly speech: DatagramSpeech;
  readonly deadlineMs: number;
}

export class Hearings {
  private readonly waiting = new Map<Flow, Waiting>();

  /** @returns the one that has to go on in its place, with where it belongs; undefined: there was room */
  add(
    flow: Flow,
    routes: Routes,
    speech: DatagramSpeech,
    nowMs: number,
  ): readonly [Flow, RouteFound] | undefined {
    const [oldest] = this.waiting.size < heardFlowsMax ? [] : this.waiting;
    const givenUp = oldest && this.givenUp(...oldest);
    flow.isHeard = true;
    const deadlineMs = nowMs + (flow.listener.plan.timeouts.identifyMs ?? identifyMsDefault);
    this.waiting.set(flow, { routes, speech, deadlineMs });
    return givenUp;
  }

  /** @returns where it belongs; undefined: it is not known yet */
  hear(flow: Flow, datagram: Uint8Array): RouteFound | undefined {
    const waiting = this.waiting.get(flow);
    if (waiting === undefined) return undefined;
    return this.found(flow, waiting, waiting.speech.hear(datagram));
  }

  /** Those that nobody waits for any longer, with where they belong by what they have said. */
  due(nowMs: number): (readonly [Flow, RouteFound])[] {
    const due: (readonly [Flow, RouteFound])[] = [];
    for (const [flow, waiting] of this.waiting) {
      if (nowMs < waiting.deadlineMs) continue;
      due.push(this.givenUp(flow, waiting));
    }
    return due;
  }

  forget(flow: Flow): void {
    if (!flow.isHeard) return;
    flow.isHeard = false;
    this.waiting.delete(flow);
  }

  private givenUp(flow: Flow, waiting: Waiting): readonly [Flow, RouteFound] {
    return [flow, this.found(flow, waiting, waiting.speech.last)!];
  }

  private found(flow: Flow, { routes }: Waiting, said: Said): RouteFound | undefined {
    const found = routes.find(flow.client, said);
    if (found === 'wait') return undefined;
    flow.spoken = said.spoken[0];
    this.forget(flow);
    return routes.leads(found, flow.listener.plan.pool);
  }
}
