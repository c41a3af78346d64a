/** What has to be read of a TCP client before its flow is opened, by what its listener asks: one step after the other. */
import type { Address } from '../../core/address.ts';
import { arrivalBytesMax } from '../../core/limits.ts';
import { identifyMsDefault, type ListenerPlan } from '../../core/plan.ts';
import { mustTell } from '../../core/proxy-peers.ts';
import type { Hearing, Identified, Identifier, IdentifierAnswer } from '../../engine/arrival.ts';
import { withPayload } from './payload.ts';
import { ProxyHeaderIdentifier } from './proxy-header.ts';
import { Routing } from './routing.ts';

/**
 * @param mayComeIn one who may not is refused when it is known who it is, and not read further
 * @returns undefined: nothing
 */
export function identifierOf(
  plan: ListenerPlan,
  peer: Address,
  local: Address,
  routing: Pick<Routing, 'identifier'> = new Routing(),
  mayComeIn: (client: Address) => boolean = () => true,
): Identifier | undefined {
  return withPayload(inTurn(plan, peer, local, routing, mayComeIn), plan.affinity.key, peer, local);
}

function inTurn(
  plan: ListenerPlan,
  peer: Address,
  local: Address,
  routing: Pick<Routing, 'identifier'>,
  mayComeIn: (client: Address) => boolean,
): Identifier | undefined {
  const { bind, proxyProtocol, routes } = plan;
  const isTold = proxyProtocol !== undefined && mustTell(proxyProtocol, peer, bind.kind === 'unix');
  const header = isTold ? new ProxyHeaderIdentifier(proxyProtocol, peer, local) : undefined;
  if (routes === undefined) return header;
  const next = (known: Caller): Identifier | undefined =>
    mayComeIn(known.client) ? routing.identifier(plan, known) : undefined;
  if (header === undefined) return next({ identity: { peer, peerLocal: local }, client: peer, local });
  return new HeaderFirst(header, next, plan.timeouts.identifyMs ?? identifyMsDefault);
}

/** Who somebody is, as far as it is known. */
export type Caller = Omit<Identified, 'consumed'>;

/** The PROXY header, and then what its client says. */
class HeaderFirst implements Identifier {
  readonly bytesMax = arrivalBytesMax;
  readonly timeoutMs: number;
  readonly #header: Identifier;
  readonly #nextOf: (known: Caller) => Identifier | undefined;
  #next: Identifier | undefined;
  /** Bytes of the header, while they are still among those that wait. */
  #headerBytes = 0;

  constructor(header: Identifier, nextOf: (known: Caller) => Identifier | undefined, identifyMs: number) {
    this.#header = header;
    this.#nextOf = nextOf;
    this.timeoutMs = Math.max(header.timeoutMs, identifyMs);
  }

  read(bytes: Uint8Array, hearing: Hearing): IdentifierAnswer {
    if (this.#next === undefined) {
      const answer = this.#header.read(bytes, hearing);
      if (typeof answer === 'string' || !('identity' in answer)) return answer;
      this.#next = this.#nextOf(answer);
      if (this.#next === undefined) return answer;
      this.#headerBytes = answer.consumed;
    }
    const headerBytes = this.#headerBytes;
    const answer = this.#next.read(bytes.subarray(headerBytes), hearing);
    if (typeof answer === 'string') return answer;
    this.#headerBytes = 0;
    return { ...answer, consumed: headerBytes + answer.consumed };
  }
}
