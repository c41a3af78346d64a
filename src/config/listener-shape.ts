/**
 * The options of one item of `listeners`: what a user may write there, what it means, and what the plan has of it.
 */
import {
  as,
  autoOrWhole,
  built,
  choice,
  duration,
  group,
  name,
  type OptionsOf,
  optionalGroup,
  planOf,
  required,
  whole,
} from '../core/options.ts';
import {
  type BandwidthPlan,
  type Bind,
  type ByteRatePlan,
  identifyMsDefault,
  type ListenerPlan,
  limitsScopes,
  type SubnetLimitsPlan,
} from '../core/plan.ts';
import { formatDuration } from '../core/quantities.ts';
import { accessOptions } from './access-shape.ts';
import { affinityKey } from './affinity-key.ts';
import { isUnixOnly, type ListenerBind, readListenerBinds } from './bind.ts';
import { flowsMax } from './fields.ts';
import { form } from './form.ts';
import { sectionOf } from './option-fields.ts';
import { proxyIn } from './proxy-shape.ts';
import { rebind } from './rebind-shape.ts';
import { routes } from './route-shape.ts';
import { byteRate, device, tcpMeaning, tcpOptions, udpMeaning, udpOptions } from './socket-shape.ts';
import * as z from './zod.ts';

const second = 1_000;
const minute = 60 * second;
/** Long for TCP, because databases keep idle sessions; short for UDP, because nothing says that a client left. */
const tcpIdleMs = 60 * minute;
const udpIdleMs = minute;
const ratePerSecondMax = 10_000_000;

const subnets = { needs: { key: 'key', is: 'client-subnet' } } as const;

const affinityOptions = {
  key: affinityKey,
  group: name(
    'Listeners of one group share their pins: a client that has one goes to the backend of the same name in the pool of each of them.',
  ),
  ttlMs: as(
    'ttl',
    duration('How long a client keeps its backend after its last flow.', 30 * minute, {
      // Open flows prolong it; below, a busy worker might come too late.
      minMs: second,
    }),
  ),
  // A /24 and a /64 are what one site usually has: a client that changes its address tends to stay inside.
  prefixV4: as('prefix_v4', whole('client-subnet: bits of an IPv4 address that count.', 1, 32, 24), subnets),
  prefixV6: as('prefix_v6', whole('client-subnet: bits of an IPv6 address that count.', 1, 128, 64), subnets),
  claim: choice(
    'async: dial at once and tell the other instances; before-dial: ask the shared table first.',
    ['async', 'before-dial'],
    'async',
  ),
  claimTimeoutMs: as(
    'claim_timeout',
    duration('before-dial: how long to wait for the shared table before going on without it.', 50),
  ),
} satisfies OptionsOf<ListenerPlan['affinity']>;

const affinity = form(
  z
    .union(
      [
        z.enum(['none']),
        sectionOf('What a client is recognised by, and for how long it keeps its backend.', affinityOptions),
      ],
      { error: 'must be none or a map of keys and values (key, ttl, ...)' },
    )
    .meta({
      description: 'What a client is recognised by, and for how long it keeps its backend; none: no pins.',
    })
    .optional(),
  (written, around): ListenerPlan['affinity'] =>
    planOf<ListenerPlan['affinity']>(
      affinityOptions,
      written === 'none' ? { key: written } : (written ?? {}),
      around,
    ),
  affinityOptions,
);

const timeoutOptions = {
  connectMs: as('connect', duration('TCP: one attempt to reach a backend.', 2 * second), { scope: 'tcp' }),
  idleMs: as(
    'idle',
    built(
      duration(
        `A flow ends when nothing moved for this long. A reader that drains what the kernel holds for it moves something. Default ${formatDuration(tcpIdleMs)} for TCP, ${formatDuration(udpIdleMs)} for UDP.`,
        undefined,
      ),
      (written, { protocols }) => written ?? (protocols.includes('udp') ? udpIdleMs : tcpIdleMs),
    ),
  ),
  halfCloseMs: as('half_close', duration('TCP: one side has ended and the other is silent.', minute), {
    scope: 'tcp',
  }),
  identifyMs: as(
    'identify',
    built(
      duration(
        'With routes: for how long a client is waited for that has not said yet where it belongs. Then it goes where it would without having said more: one whose server speaks first is not waited for in vain for longer.',
        identifyMsDefault,
      ),
      (written) => written,
    ),
  ),
} satisfies OptionsOf<ListenerPlan['timeouts']>;

const subnetLimits = {
  prefixV4: as('prefix_v4', whole('Bits of an IPv4 address that make a network.', 1, 32, 24)),
  prefixV6: as('prefix_v6', whole('Bits of an IPv6 address that make a network.', 1, 128, 64)),
  flows: whole('Open flows; 0: no limit.', 0, flowsMax, 0),
  newFlowsPerSecond: as('new_flows', whole('New flows a second; 0: no limit.', 0, ratePerSecondMax, 0)),
  datagramsPerSecond: as('datagrams', whole('Datagrams a second; 0: no limit.', 0, ratePerSecondMax, 0), {
    scope: 'udp',
  }),
} satisfies OptionsOf<SubnetLimitsPlan>;

const byteRates = {
  up: byteRate('Bytes a second from clients.'),
  down: byteRate('Bytes a second to clients.'),
} satisfies OptionsOf<ByteRatePlan>;

const bandwidthOptions = {
  perFlow: as('per_flow', optionalGroup('Of each connection or conversation.', byteRates)),
  perClient: as('per_client', optionalGroup('Of all flows of one client address.', byteRates)),
  total: optionalGroup('Of the whole listener.', byteRates),
} satisfies OptionsOf<BandwidthPlan>;

/** 0 is no limit: a listener may use up all flows of the instance. */
export const listenerLimits = {
  flows: whole('Open flows; 0: as many as limits.flows of the instance.', 0, flowsMax, 0),
  reserve: autoOrWhole(
    'Open flows that other listeners cannot take from this one; auto: its even part of a quarter of limits.flows of the instance.',
    0,
    flowsMax,
    'auto',
  ),
  flowsPerClient: as(
    'flows_per_client',
    whole('Open flows of one client address, over all workers; 0: no limit.', 0, flowsMax, 0),
  ),
  newFlowsPerClientPerSecond: as(
    'new_flows_per_client',
    whole('New flows a second of one client address; 0: no limit.', 0, ratePerSecondMax, 0),
  ),
  datagramsPerClientPerSecond: as(
    'datagrams_per_client',
    whole('Datagrams a second of one client address; those above are dropped.', 1, ratePerSecondMax),
    { scope: 'udp' },
  ),
  perSubnet: as(
    'per_subnet',
    optionalGroup('What all clients of one network may have together.', subnetLimits),
  ),
  newFlowsPerSecond: as('new_flows', whole('New flows a second; 0: no limit.', 0, ratePerSecondMax, 0)),
  scope: choice(
    'What flows and rates of a client and of a network are counted over. instance (the default): this instance; cluster: all instances of the cluster, of which each has its even share of a rate, and of the flows while Redis is away.',
    limitsScopes,
    undefined,
  ),
} satisfies OptionsOf<ListenerPlan['limits']>;

/** Reads it itself, so that each address of a list has its own errors. */
function bindField(description: string): z.ZodType<ListenerBind> {
  const one = { type: 'string', pattern: '^((tcp|udp)://.+:\\d+(-\\d+)?|unix:/.+)$' };
  const items = { ...one, description: 'One of its addresses.' };
  return z
    .unknown()
    .transform((value, context): ListenerBind => {
      const reading = readListenerBinds(value);
      if ('value' in reading) return reading.value;
      for (const { steps, refused } of reading)
        context.addIssue({ code: 'custom', message: refused, path: [...steps], continue: true });
      return z.NEVER;
    })
    .meta({ description, anyOf: [one, { type: 'array', items, minItems: 1 }] });
}

/** As the file has it: an address is a protocol and a place, and a device beside it. The rest is as in the plan. */
interface Listener extends Omit<ListenerPlan, 'protocol' | 'bind' | 'binds' | 'upstream'> {
  readonly bind: ListenerBind;
  readonly device?: string;
}

export const listenerOptions = {
  name: required(name('The name in logs, metrics and commands.')),
  bind: required(
    form(
      bindField(
        'Protocol, address and port: tcp://0.0.0.0:5432, udp://[::]:7777, udp://0.0.0.0:7000-7099 for a range of ports; or unix:/path. Or a list of them, all TCP (and unix) or all UDP, which are one listener. The mode of such a socket is what the umask leaves of 0777 (0755 by default, 0700 with the systemd unit), and only who may write to it can connect: set the umask (UMask= in systemd) for clients of other users.',
      ),
      (written) => written!,
    ),
  ),
  device: as(
    'bind_device',
    device(
      'Only clients that come in by this network device or VRF (SO_BINDTODEVICE). A change makes it another listener: open flows end.',
    ),
    { scope: 'inet', engines: ['epoll'] },
  ),
  relay: built(
    choice(
      "What carries its packets. user: this program, which takes connections and makes others to backends. kernel: rules of the kernel (nftables), which rewrite packets in passing: a third of the CPU, backends see the client's own address, and connections outlive pinion and its host; docs/KERNEL.md says what it needs and what it cannot do.",
      ['user', 'kernel'],
      'user',
    ),
    (written): ListenerPlan['relay'] => (written === 'kernel' ? written : undefined),
  ),
  source: {
    ...built(
      choice(
        "relay: kernel: where packets to backends come from. client: the client's own address, so backends' answers have to be routed by this machine; masquerade: this machine's address, for backends whose way back is another one. With masquerade a connection does not outlive the machine.",
        ['client', 'masquerade'],
        'client',
      ),
      (written): ListenerPlan['source'] => (written === 'masquerade' ? written : undefined),
    ),
    needs: { key: 'relay', is: 'kernel' },
  },
  pool: name(
    'The pool that serves its clients; with routes, those whom no route is for. It may be left out then: they are refused.',
  ),
  routes,
  ...accessOptions,
  proxyProtocol: proxyIn,
  rebind,
  affinity,
  timeouts: group('When to give up.', timeoutOptions),
  limits: group('How much this listener carries; what is above is turned away.', listenerLimits),
  tcp: { ...group(tcpMeaning, tcpOptions), scope: 'tcp', atBind: true },
  udp: { ...optionalGroup(udpMeaning, udpOptions), scope: 'udp' },
  bandwidth: optionalGroup(
    'How fast payload may move, over all workers. TCP is read more slowly, datagrams above are dropped. Who was quiet may move a second of it at once.',
    bandwidthOptions,
  ),
  sessionEndsAfter: as(
    'session_ends_after',
    optionalGroup(
      'UDP: when a conversation is over that need not be quiet first, such as a question to a name server.',
      {
        replies: whole('Replies sent for each datagram of the client.', 1, 1_000_000, 1),
      },
    ),
    { scope: 'udp' },
  ),
} satisfies OptionsOf<Listener>;

export const listenerShape = sectionOf('An address that clients reach.', listenerOptions);

export type ListenerShape = z.output<typeof listenerShape>;

/** The plan of a listener without problems, but for how connections leave, which its pool says. */
export function buildListener(listener: ListenerShape): ListenerPlan {
  const { protocol, all } = listener.bind;
  const {
    name,
    bind: _,
    device,
    ...rest
  } = planOf<Listener>(listenerOptions, listener, {
    protocols: [protocol],
    bindKind: isUnixOnly(listener.bind) ? 'unix' : 'inet',
  });
  const binds = all.map(
    ({ bind }): Bind => (device === undefined || bind.kind === 'unix' ? bind : { ...bind, device }),
  );
  return { name, protocol, bind: binds[0]!, ...(binds.length === 1 ? {} : { binds }), ...rest };
}
