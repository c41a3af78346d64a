/** `affinity.key`: a word, or a map for what is read of a client by place. */
import { payloadBytesMax, payloadOffsetMax } from '../core/limits.ts';
import { type AffinityKey, affinityKeys } from '../core/plan.ts';
import { section, whole } from './fields.ts';
import { form } from './form.ts';
import * as z from './zod.ts';

const rule = `must be one of ${affinityKeys.join(', ')}, or a map: { payload: { offset, length } }, { tlv: TYPE }`;

const field = z
  .union(
    [
      z.enum(affinityKeys, { error: rule }),
      section('A piece of what a client says first.', {
        payload: section(
          'A piece of what a client says first; UDP: of the datagram that opens a conversation. Who says less is recognised by its address.',
          {
            offset: whole('Bytes before it.', 0, payloadOffsetMax, 0),
            length: whole('Its bytes, all of which must be there.', 1, payloadBytesMax).unwrap(),
          },
        ),
      }),
      section('What the header of a proxy says of a client.', {
        tlv: whole(
          'The type in a PROXY protocol header of version 2: what a trusted proxy says of its client.',
          0,
          255,
        ).unwrap(),
      }),
    ],
    { error: rule },
  )
  .meta({
    description:
      'client-ip; client-subnet (see prefix_v4, prefix_v6); flow: each connection by itself; server-name: the host it asks for; quic-id: the connection id of QUIC in its datagram (UDP); payload; tlv; none: no pins, the default on a unix socket. Who does not say what is asked for is recognised by client-ip.',
    default: 'client-ip',
  })
  .optional();

export type WrittenKey = Exclude<z.output<typeof field>, undefined>;

export const affinityKey = form(
  field,
  // On a unix socket no client has an address: pinning by it would send all of them to one backend.
  (written, { bindKind }): AffinityKey =>
    written === undefined ? (bindKind === 'unix' ? 'none' : 'client-ip') : withOffset(written),
);

function withOffset(key: WrittenKey): AffinityKey {
  if (typeof key === 'string' || 'tlv' in key) return key;
  return { payload: { offset: key.payload.offset ?? 0, length: key.payload.length } };
}
