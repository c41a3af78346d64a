/**
 * The socket options a user may set, on a listener and for what leaves towards a pool: what may be written, and what
 * it means. Without a key the kernel's own value holds, except where a default is shown.
 */
import { Address } from '../core/address.ts';
import {
  as,
  built,
  duration,
  flag,
  type Option,
  type OptionsOf,
  own,
  type Reading,
  whole,
} from '../core/options.ts';
import type { ListenerPlan, UpstreamPlan } from '../core/plan.ts';
import { formatDuration } from '../core/quantities.ts';
import { showValue } from './problem.ts';
import { readSize, sizePattern } from './units.ts';

/** MAX_TCP_KEEPIDLE and MAX_TCP_KEEPINTVL of the kernel are 32767 s, whole ones: tcp(7). */
const keepAliveMsMax = 32_767_000;
/** MAX_TCP_KEEPCNT. */
const keepAliveProbesMax = 127;
/** Below, a socket cannot hold one ordinary segment; above, the kernel's doubled value leaves an int. Bytes. */
const bufferBytesMin = 4 * 1024;
const bufferBytesMax = 512 * 1024 * 1024;
const byteRateMin = 1024;
const byteRateMax = 2 ** 40;
/** Source addresses of a pool: 64 are 1.8 million connections to each backend. */
const sourcesMax = 64;
const markMax = 2 ** 32 - 1;

function buffer(meaning: string): Option<number | undefined> {
  return own(`${meaning} A size with a unit, such as 256KiB.`, readBuffer, {
    type: 'string',
    pattern: sizePattern,
  });
}

/** Bytes a second. */
export function byteRate(meaning: string): Option<number> {
  return own(
    `${meaning} A size with a unit, such as 2MiB; 0: no limit.`,
    readRate,
    { anyOf: [{ type: 'string', pattern: sizePattern }, { const: 0 }], default: 0 },
    0,
  );
}

function readRate(value: unknown): Reading<number> {
  const reading = readSize(value);
  if ('refused' in reading || reading.value === 0) return reading;
  if (reading.value >= byteRateMin && reading.value <= byteRateMax) return reading;
  return { refused: `must be 0 or from 1KiB to 1024GiB, not ${value}` };
}

function readBuffer(value: unknown): Reading<number> {
  const reading = readSize(value);
  if ('refused' in reading) return reading;
  if (reading.value >= bufferBytesMin && reading.value <= bufferBytesMax) return reading;
  return { refused: `must be from 4KiB to 512MiB, not ${value}` };
}

/** Both engines honour it, or one: those of node:net and node:dgram are few. */
const epollOnly = { engines: ['epoll'] } as const;
const probing = { key: 'keepalive', isNot: 0 } as const;

export const tcpMeaning =
  'Socket options of a TCP listener. A change is for new connections: of backends at once, of clients from the next bind on.';
export const tcpOptions = {
  /** 4096 is the kernel's own ceiling (net.core.somaxconn) since Linux 5.4. */
  backlog: whole('Connections the kernel holds until they are accepted.', 1, 65_535, 4_096),
  noDelay: as('no_delay', flag('Send small segments at once (TCP_NODELAY).', true)),
  keepAliveMs: as(
    'keepalive',
    duration('Silence before the first keepalive probe, both sides; 0: no probes.', 60_000, {
      zero: true,
      minMs: 1_000,
      maxMs: keepAliveMsMax,
    }),
  ),
  keepAliveIntervalMs: as(
    'keepalive_interval',
    duration(
      `Between two keepalive probes, both sides (TCP_KEEPINTVL; the kernel's value is ${formatDuration(75_000)}).`,
      undefined,
      { minMs: 1_000, maxMs: keepAliveMsMax },
    ),
    { ...epollOnly, needs: probing },
  ),
  keepAliveProbes: as(
    'keepalive_probes',
    whole(
      "Unanswered keepalive probes until a side is given up (TCP_KEEPCNT; the kernel's value is 9).",
      1,
      keepAliveProbesMax,
    ),
    { ...epollOnly, needs: probing },
  ),
  userTimeoutMs: as(
    'user_timeout',
    leftToKernel(
      duration(
        'How long sent bytes may stay unacknowledged until a side is given up (TCP_USER_TIMEOUT), which then holds for keepalive probes too, in place of their number; 0: as long as the kernel retransmits.',
        0,
        { zero: true },
      ),
    ),
    epollOnly,
  ),
  fastOpenQueue: as(
    'fast_open',
    leftToKernel(
      whole(
        'Clients whose first bytes came with the handshake (TCP_FASTOPEN) that may wait; 0: none. net.ipv4.tcp_fastopen must allow it (bit 2).',
        0,
        65_535,
        0,
      ),
    ),
    { ...epollOnly, scope: 'inet' },
  ),
  receiveBufferBytes: as(
    'receive_buffer',
    buffer('Bytes a socket holds for us, both sides (SO_RCVBUF); ends the tuning by the kernel.'),
    epollOnly,
  ),
  sendBufferBytes: as(
    'send_buffer',
    buffer('Bytes a socket holds for its peer, both sides (SO_SNDBUF); likewise.'),
    epollOnly,
  ),
} satisfies OptionsOf<ListenerPlan['tcp']>;

export const udpMeaning =
  'Socket options of a UDP listener; a change waits for the next bind, of those for backends for the next conversation.';
export const udpOptions = {
  receiveBufferBytes: as(
    'receive_buffer',
    buffer('Datagrams of all clients that wait for us (SO_RCVBUF). Without it 4MiB.'),
    { atBind: true },
  ),
  sendBufferBytes: as(
    'send_buffer',
    buffer(
      'Replies to all clients that wait for the network (SO_SNDBUF). Without it 4MiB on the epoll engine.',
    ),
    { atBind: true },
  ),
  backendReceiveBufferBytes: as(
    'backend_receive_buffer',
    buffer(
      'Replies to one client that wait for us, in the socket towards its backend (SO_RCVBUF). Without it 4MiB: a ceiling that only waiting datagrams fill.',
    ),
  ),
  backendSendBufferBytes: as(
    'backend_send_buffer',
    buffer(
      "Datagrams of one client that wait for the network, in the same socket (SO_SNDBUF). Without it the kernel's net.core.wmem_default.",
    ),
  ),
} satisfies OptionsOf<NonNullable<ListenerPlan['udp']>>;

/** 0 says so as well as a key that is not there. */
function leftToKernel(option: Option<number>): Option<number | undefined, number> {
  return built(option, (written) => (written === 0 ? undefined : written));
}

/** A network device: what the kernel takes for a name (dev_valid_name), at most IFNAMSIZ - 1 letters, but no address (@). */
export function device(meaning: string): Option<string | undefined> {
  return own(meaning, readDevice, { type: 'string', pattern: '^[^\\s/:@]{1,15}$' });
}

function readDevice(value: unknown): Reading<string> {
  if (typeof value === 'string' && /^[^\s/:@]{1,15}$/.test(value) && value !== '.' && value !== '..')
    return { value };
  return { refused: `must be the name of a network device, such as eth0, not ${showValue(value)}` };
}

const sourceItem = { type: 'string', description: 'An IP address of this machine.' };

/** The keys of a pool that say how connections to its backends leave. */
export const upstreamOptions = {
  sources: as(
    'source',
    built(
      own(
        'Addresses of this machine from which connections to backends leave: one, or a list that is used in turn. Each has some 28,000 ports for each backend; when one has none left the next is tried. Health checks leave from one of them.',
        readSources,
        {
          anyOf: [
            { type: 'string' },
            { type: 'array', items: sourceItem, minItems: 1, maxItems: sourcesMax },
          ],
        },
      ),
      (written) => written ?? [],
    ),
    { scope: 'inet' },
  ),
  transparent: {
    ...flag(
      "Connections leave from the client's own address. Needs CAP_NET_ADMIN, and routing that brings the backends' answers back here.",
      false,
    ),
    ...epollOnly,
    scope: 'inet',
  },
  mark: {
    ...whole(
      'The firewall mark of connections to backends (SO_MARK), for routing by policy; health checks go without. Needs CAP_NET_ADMIN.',
      1,
      markMax,
    ),
    ...epollOnly,
    scope: 'inet',
  },
  device: {
    ...device(
      'The network device or VRF by which connections to backends leave (SO_BINDTODEVICE); health checks go without.',
    ),
    ...epollOnly,
    scope: 'inet',
  },
} satisfies OptionsOf<UpstreamPlan>;

/** Reads one IP literal or a list of them. */
function readSources(value: unknown): Reading<readonly string[]> {
  const items: readonly unknown[] = Array.isArray(value) ? value : [value];
  if (items.length === 0) return { refused: 'needs at least one address' };
  if (items.length > sourcesMax) return { refused: `has more than ${sourcesMax} addresses` };
  const sources: string[] = [];
  for (const item of items) {
    const address = typeof item === 'string' ? Address.parse(item, 0) : undefined;
    if (address === undefined) {
      return { refused: `must be IP addresses without ports, such as 10.0.0.5, not ${showValue(item)}` };
    }
    if (address.isWildcard)
      return { refused: `${item} is no address to leave from; leave the key out for any` };
    if (sources.includes(address.ip)) return { refused: `names ${address.ip} twice` };
    sources.push(address.ip);
  }
  return { value: sources };
}
