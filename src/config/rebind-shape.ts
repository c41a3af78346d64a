/** `rebind` of a UDP listener: what a client whose address changes is known by. */
import { rebindTokenBytesMax, rebindTokenBytesMin } from '../core/limits.ts';
import { as, group, required, whole } from '../core/options.ts';
import type { RebindPlan } from '../core/plan.ts';
import { form } from './form.ts';
import { sectionOf } from './option-fields.ts';
import * as z from './zod.ts';

/** No datagram of a path is longer without being cut: an MTU of 1,500 (RFC 894). */
const offsetMax = 1_400;

const meaning =
  'What a client is known by whose address or port changes, so that its conversation goes on: quic: the connection id that its server chose; payload: a token in each of its datagrams that nobody else knows.';

const rebindOptions = {
  payload: required(
    group('The token, unlike that of any other client.', {
      offset: required(whole('Bytes before it.', 0, offsetMax)),
      length: required(whole('Its bytes.', rebindTokenBytesMin, rebindTokenBytesMax)),
    }),
  ),
};

export const rebind = as(
  'rebind',
  form(
    z
      .union([z.enum(['quic']), sectionOf(meaning, rebindOptions)], {
        error: 'must be quic, or a map with payload: { offset: 1, length: 8 }',
      })
      .meta({ description: meaning })
      .optional(),
    (written) => written as RebindPlan | undefined,
    rebindOptions,
  ),
  { scope: 'udp' },
);
