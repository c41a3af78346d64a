/**
 * Reads a TCP client until it is known where it belongs, and no further: what it says is for its backend. One that says nothing in
 * time, or ends, or goes on and on without an end, goes where it would by what it has said.
 */
import { arrivalBytesMax } from '../../core/limits.ts';
import { identifyMsDefault, type ListenerPlan } from '../../core/plan.ts';
import type { Routes } from '../../core/routes.ts';
import type { Hearing, Identifier, IdentifierAnswer } from '../../engine/arrival.ts';
import type { Caller } from './identify.ts';
import { type Question, Speech } from './speech.ts';

/**
 * To a question for TLS: yes, as whom the name that comes then leads to will have to say as well. For GSSAPI: no, whose names are
 * encrypted. The client goes on without, or asks for TLS (https://www.postgresql.org/docs/current/protocol-flow.html).
 */
const answers: Readonly<Record<Question, Uint8Array>> = {
  ssl: Uint8Array.of(0x53),
  gss: Uint8Array.of(0x4e),
};
const questionBytes = 8;

export class RouteIdentifier implements Identifier {
  readonly bytesMax = arrivalBytesMax;
  readonly timeoutMs: number;
  private readonly plan: ListenerPlan;
  private readonly routes: Routes;
  private readonly caller: Caller;
  private readonly speech: Speech;

  constructor(plan: ListenerPlan, routes: Routes, caller: Caller) {
    this.plan = plan;
    this.routes = routes;
    this.caller = caller;
    this.timeoutMs = plan.timeouts.identifyMs ?? identifyMsDefault;
    this.speech = new Speech(routes.protocols);
  }

  read(bytes: Uint8Array, hearing: Hearing): IdentifierAnswer {
    const said = this.speech.hear(bytes, hearing !== 'open');
    const found = this.routes.find(this.caller.client, said);
    if (found === 'wait') {
      if (said.question === undefined) return 'more';
      this.speech.answered(said.question);
      return { answer: answers[said.question], consumed: questionBytes };
    }
    const route = this.routes.leads(found, this.plan.pool);
    // Who comes and leaves without a word (a check of whether we are there) was not refused.
    if (route.pool === undefined && hearing === 'ended' && bytes.length === 0) return 'more';
    const [spoken] = said.spoken;
    const { client, local } = this.caller;
    const identity = {
      ...this.caller.identity,
      ...(spoken === undefined ? {} : { spoken }),
      ...(this.speech.hasAskedForTls ? { hasAskedForTls: true } : {}),
      route,
    };
    return { identity, client, local, consumed: 0 };
  }
}
