/** Clients as an operator writes them: an address, an address with its port, a network, or a key: `server-name=play.example`. */
import { Address } from './address.ts';
import type { Flow } from './flow.ts';
import { hasSameWords, maskAddress } from './key.ts';
import type { KeyWords } from './key-bytes.ts';
import { addressOf, isOfAddress, type KeyKind, readNamedKey } from './key-kinds.ts';

/**
 * Which keys are meant: an address or a network means those of kinds of addresses.
 * @throws RangeError if `text` is neither an address, nor a network, nor a key
 */
export function keyMatcher(text: string): (key: KeyWords & { readonly kind: KeyKind }) => boolean {
  const named = readNamedKey(text);
  if (named !== undefined) return (key) => key.kind === named.kind && hasSameWords(key, named.words);
  const isClient = clientMatcher(text);
  return (key) => isOfAddress(key.kind) && isClient(addressOf(key));
}

/**
 * Which flows are meant, by who their client is or what it is recognised by.
 * @throws as {@link keyMatcher}
 */
export function flowMatcher(text: string): (flow: Pick<Flow, 'client' | 'key' | 'serverPin'>) => boolean {
  if (readNamedKey(text) === undefined) {
    const isClient = clientMatcher(text);
    return ({ client }) => isClient(client);
  }
  const isKey = keyMatcher(text);
  return ({ key, serverPin }) => isKey(key) || (serverPin !== undefined && isKey(serverPin.key));
}

/** @throws RangeError if `client` is neither an address nor a network */
export function clientMatcher(client: string): (address: Address) => boolean {
  const network = /^([^/]+)\/(\d{1,3})$/.exec(client);
  if (network !== null) {
    const base = Address.parse(network[1]!, 0);
    const bits = Number(network[2]);
    if (base === undefined || bits > (base.family === 4 ? 32 : 128))
      throw new RangeError(`${client} is not a network`);
    const wanted = maskAddress(base, bits, bits);
    return (address) => address.family === base.family && maskAddress(address, bits, bits).equals(wanted);
  }
  const exact = Address.parse(client, 0);
  if (exact !== undefined) return (address) => address.withPort(0).equals(exact);
  const flow = Address.parseWithPort(client);
  if (flow !== undefined) return (address) => address.equals(flow);
  throw new RangeError(`${client} is neither an address nor a network`);
}
