/** The PROXY protocol in the file: on a listener whose headers are believed, on a pool what its backends are told. */
import { parseCidr } from '../core/cidr.ts';
import {
  as,
  choice,
  duration,
  type OptionsOf,
  optionalGroup,
  own,
  type Reading,
  required,
} from '../core/options.ts';
import {
  headerDatagrams,
  type ProxyInPlan,
  type ProxyOutPlan,
  type ProxyTlv,
  proxyTlvs,
  unixPeers,
} from '../core/proxy-plan.ts';
import { form } from './form.ts';
import { sectionOf } from './option-fields.ts';
import { showValue } from './problem.ts';
import * as z from './zod.ts';

const networksMax = 1_024;

const proxyInOptions = {
  from: required(
    own(
      'Who has to begin with a header and is believed: an address, a network such as 10.0.0.0/8, or a list of them; unix: whoever connects to a unix socket. From all others no header is read.',
      readNetworks,
      {
        anyOf: [
          { type: 'string' },
          { type: 'array', items: { type: 'string' }, minItems: 1, maxItems: networksMax },
        ],
      },
    ),
  ),
  timeoutMs: as('timeout', duration('TCP: until the header has to be complete.', 3_000), { scope: 'tcp' }),
  udp: {
    ...choice(
      'UDP: first: the first datagram of a sender begins with a header, which later ones may repeat; every: each does, and one sender may bring as many clients as it names.',
      headerDatagrams,
      'first',
    ),
    scope: 'udp',
  },
} satisfies OptionsOf<ProxyInPlan>;

export const proxyIn = as(
  'proxy_protocol',
  optionalGroup(
    'The PROXY protocol, version 1 or 2, of proxies before this listener: the client is who their header says, for limits, pins and everything else.',
    proxyInOptions,
  ),
);

function readNetworks(value: unknown): Reading<readonly string[]> {
  const items: readonly unknown[] = Array.isArray(value) ? value : [value];
  if (items.length === 0) return { refused: 'needs at least one address or network' };
  if (items.length > networksMax) return { refused: `has more than ${networksMax} networks` };
  const wrong = items.find((item) => !isNetwork(item));
  if (wrong === undefined) return { value: items as string[] };
  return { refused: `must be addresses or networks, such as 10.0.0.0/8, not ${showValue(wrong)}` };
}

function isNetwork(value: unknown): boolean {
  return typeof value === 'string' && (value === unixPeers || parseCidr(value) !== undefined);
}

const versions = ['v1', 'v2'] as const;
const outMeaning =
  'Each connection to a backend, and over UDP datagrams to it, begins with a PROXY header that names the client: v1 (TCP alone), v2, or v2 with what follows its addresses. Health checks that go where clients go begin with one that names nobody (LOCAL, or UNKNOWN).';

const proxyOutOptions = {
  version: {
    kind: 'choice',
    meaning: 'The version.',
    values: versions,
    fallback: 'v2',
  },
  tlvs: as(
    'tlvs',
    own<readonly ProxyTlv[]>(
      'What follows the addresses: authority (the server name that came in, else the one that a route has read), unique-id (the one that came in, else one made here), incoming (all that came in), checksum (CRC32c).',
      readTlvs,
      { type: 'array', items: { enum: [...proxyTlvs] } },
      [],
    ),
    { needs: { key: 'version', is: 'v2' } },
  ),
  udp: {
    ...choice(
      'UDP: first: datagrams begin with the header until the backend has answered, and again at another address; every: each does.',
      headerDatagrams,
      'first',
    ),
    scope: 'udp',
  },
} as const;

function readTlvs(value: unknown): Reading<readonly ProxyTlv[]> {
  const isKnown = (item: unknown): item is ProxyTlv => (proxyTlvs as readonly unknown[]).includes(item);
  if (Array.isArray(value) && value.every(isKnown) && new Set(value).size === value.length) return { value };
  return { refused: `must be a list of ${proxyTlvs.join(', ')}, each once, not ${showValue(value)}` };
}

export const proxyOut = as(
  'proxy_protocol',
  form(
    z
      .union([z.enum(versions), sectionOf(outMeaning, proxyOutOptions)], {
        error: 'must be v1, v2, or a map of keys and values (version, tlvs)',
      })
      .meta({ description: outMeaning })
      .optional(),
    (written): ProxyOutPlan | undefined => {
      if (written === undefined) return undefined;
      const {
        version = 'v2',
        tlvs = [],
        udp = 'first',
      } = typeof written === 'string' ? { version: written } : written;
      return { version: version === 'v1' ? 1 : 2, tlvs, udp };
    },
    proxyOutOptions,
  ),
);
