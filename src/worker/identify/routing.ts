/**
 * Which pool a client of a listener with routes belongs to, and what has to be read of it first. The director asks once for each
 * flow; a listener without routes is never asked about.
 */
import type { Address } from '../../core/address.ts';
import type { Flow } from '../../core/flow.ts';
import type { Identity } from '../../core/identity.ts';
import type { ListenerPlan } from '../../core/plan.ts';
import { type RouteFound, Routes, type Spoken, saidNothing } from '../../core/routes.ts';
import type { Identifier } from '../../engine/arrival.ts';
import { DatagramSpeech, Hearings } from './hearings.ts';
import type { Caller } from './identify.ts';
import { RouteIdentifier } from './route-identifier.ts';

/** Where a client belongs, or what it is waited for with. */
export interface Led {
  readonly route: RouteFound | undefined;
  readonly spoken: Spoken | undefined;
  /** It has to say more: {@link Routing.wait}. */
  readonly speech: DatagramSpeech | undefined;
}

export class Routing {
  readonly hearings = new Hearings();
  /** Made when the first client comes: a snapshot is a copy each time. */
  private readonly tables = new WeakMap<ListenerPlan, Routes>();

  /** @returns undefined: it is known where this client belongs without reading of it */
  identifier(plan: ListenerPlan, caller: Caller): Identifier | undefined {
    const routes = this.routesOf(plan);
    const known = routes?.find(caller.client, { ...saidNothing, possible: routes.protocols, isAll: false });
    return routes === undefined || known !== 'wait' ? undefined : new RouteIdentifier(plan, routes, caller);
  }

  /** @param first UDP: the first datagram, without what is not its own */
  lead(
    plan: ListenerPlan,
    client: Address,
    identity: Identity | undefined,
    first: Uint8Array | undefined,
  ): Led {
    const { route, spoken } = identity ?? {};
    if (route !== undefined) return { route, spoken, speech: undefined };
    const routes = this.routesOf(plan)!;
    const speech = first === undefined ? undefined : new DatagramSpeech(routes);
    const said = speech?.hear(first!) ?? saidNothing;
    const found = routes.find(client, said);
    if (found === 'wait') return { route: undefined, spoken: undefined, speech };
    return { route: routes.leads(found, plan.pool), spoken: said.spoken[0], speech: undefined };
  }

  /** As {@link Routes.mayLead}, also to the pool of those whom no route is for. */
  mayLead(plan: ListenerPlan, client: Address, number: number, pool: string): boolean {
    return (number === 0 && pool === plan.pool) || this.routesOf(plan)!.mayLead(client, number, pool);
  }

  /** The flow waits until its client has said where it belongs. @returns as {@link Hearings.add} */
  wait(flow: Flow, speech: DatagramSpeech, nowMs: number): ReturnType<Hearings['add']> {
    return this.hearings.add(flow, this.routesOf(flow.listener.plan)!, speech, nowMs);
  }

  private routesOf(plan: ListenerPlan): Routes | undefined {
    if (plan.routes === undefined) return undefined;
    let routes = this.tables.get(plan);
    if (routes === undefined) {
      routes = new Routes(plan.routes);
      this.tables.set(plan, routes);
    }
    return routes;
  }
}
