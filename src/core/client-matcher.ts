/** Clients as an operator writes them: an address, an address with its port, or a network. */
import { Address } from './address.ts';
import { maskAddress } from './key.ts';

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
