/** A client as an operator names it: by its address, or by what its listener recognises it by: `server-name=play.example`. */
import { Address } from './address.ts';
import { Key, keyOf } from './key.ts';
import { isOfAddress, keyKinds, type NamedKey, readNamedKey } from './key-kinds.ts';
import { type AffinityPlan, keyKindOf } from './plan.ts';

export type AskedClient = Address | NamedKey;

/** @throws RangeError if it is neither */
export function readAskedClient(text: string): AskedClient {
  const client = readNamedKey(text) ?? Address.parseWithPort(text) ?? Address.parse(text, 0);
  if (client === undefined)
    throw new RangeError(`client: ${text} is not an IP address, nor a key such as server-name=play.example`);
  return client;
}

/**
 * What a listener recognises the client by. One with an address alone is one that does not say what the listener asks for.
 * @throws RangeError if the listener never recognises anybody by such a key
 */
export function keyOfAsked(client: AskedClient, affinity: AffinityPlan): Key {
  if (client instanceof Address) return keyOf(client, affinity);
  const kind = keyKindOf(affinity.key);
  const isFallback = client.kind === 'client-ip' && !isOfAddress(kind);
  if (client.kind !== kind && !isFallback)
    throw new RangeError(`this listener recognises clients by ${kind}, not by ${client.kind}`);
  return new Key(client.kind, client.words);
}

/** As it was asked for: `192.0.2.7:4000`, `server-name=play.example`. */
export function askedText(client: AskedClient): string {
  if (client instanceof Address) return client.port === 0 ? client.ip : client.toString();
  return `${client.kind}=${keyKinds[client.kind].print(client.words)}`;
}
