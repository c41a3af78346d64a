/**
 * Who the client of a proxy is: the PROXY header that a trusted peer has to begin with (wire/proxy-header.ts).
 *
 * Never guessed: a peer in `from` without a right header is reset (`proxy-header`), and one that is not in it has its bytes passed
 * on as they are, whatever they look like. Where the header names nobody (LOCAL, UNKNOWN, UNSPEC, paths of unix sockets, a
 * transport other than this one), the connection's own addresses stand: as HAProxy and nginx have it.
 */
import type { Address } from '../../core/address.ts';
import { proxyHeaderBytesMax } from '../../core/limits.ts';
import type { ProxyInPlan } from '../../core/proxy-plan.ts';
import type { Hearing, Identifier, IdentifierAnswer } from '../../engine/arrival.ts';
import { readProxyHeader } from '../../wire/proxy-header.ts';

export class ProxyHeaderIdentifier implements Identifier {
  readonly bytesMax = proxyHeaderBytesMax;
  readonly timeoutMs: number;
  readonly #peer: Address;
  readonly #local: Address;

  constructor({ timeoutMs }: ProxyInPlan, peer: Address, local: Address) {
    this.timeoutMs = timeoutMs;
    this.#peer = peer;
    this.#local = local;
  }

  read(bytes: Uint8Array, hearing: Hearing): IdentifierAnswer {
    const header = readProxyHeader(bytes);
    if (header === 'more') {
      const isGone = hearing === 'ended' && bytes.length === 0;
      return hearing === 'open' || isGone ? 'more' : 'proxy-header';
    }
    if (header === undefined) return 'proxy-header';
    const told = header.transport === 'stream' ? header.addresses : undefined;
    return {
      identity: { peer: this.#peer, peerLocal: this.#local, header },
      client: told?.source ?? this.#peer,
      local: told?.destination ?? this.#local,
      consumed: header.length,
    };
  }
}
