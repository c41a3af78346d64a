/** `affinity.key`: a word, or a map for what is read of a client by place. */
import * as z from 'zod';
import { payloadBytesMax, payloadOffsetMax } from '../core/limits.ts';
import { type AffinityKey, affinityKeys } from '../core/plan.ts';
import { section, whole } from './fields.ts';
import { form } from './form.ts';

const rule = `must be one of ${affinityKeys.join(', ')}, or a map: { payload: { offset, length } }, { tlv: TYPE }`;

/** Asked for by those who know QUIC: why there is none. */
const noQuicId =
  'cannot be quic-id: a server chooses its id when a conversation has a backend already. With rebind: quic a conversation goes on when its client has another address; server-name is what a client says first';

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
    { error: ({ input }) => (input === 'quic-id' ? noQuicId : rule) },
  )
  .meta({
    description:
      'client-ip; client-subnet (see prefix_v4, prefix_v6); flow: each connection by itself; server-name: the host it asks for; payload; tlv; none: no pins, the default on a unix socket. Who does not say what is asked for is recognised by client-ip.',
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
