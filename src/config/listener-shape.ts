/**
 * The shape of one item of `listeners`: what a user may write there, and what it means.
 */
import * as z from 'zod';
import { affinityKeys } from '../core/plan.ts';
import { readListenerBind } from './bind.ts';
import { affinityDefaults, listenerLimitDefaults, timeoutDefaults } from './defaults.ts';
import { autoOr, choice, duration, flowsMax, name, readBy, section, whole } from './fields.ts';
import { device, tcpSection, udpSection } from './socket-shape.ts';
import { formatDuration } from './units.ts';

const ratePerSecondMax = 10_000_000;
const tcpTimeouts = timeoutDefaults('tcp');
const udpIdleMs = timeoutDefaults('udp').idleMs;

const affinitySection = section('What a client is recognised by, and for how long it keeps its backend.', {
  key: choice(
    'client-ip; client-subnet (see prefix_v4, prefix_v6); flow: each connection by itself; none: no pins, the default on a unix socket.',
    affinityKeys,
    affinityDefaults.key,
  ),
  ttl: duration('How long a client keeps its backend after its last flow.', {
    defaultMs: affinityDefaults.ttlMs,
    // Open flows prolong it; below, a busy worker might come too late.
    minMs: 1_000,
  }),
  prefix_v4: whole('client-subnet: bits of an IPv4 address that count.', 1, 32, affinityDefaults.prefixV4),
  prefix_v6: whole('client-subnet: bits of an IPv6 address that count.', 1, 128, affinityDefaults.prefixV6),
  claim: choice(
    'async: dial at once and tell the other instances; before-dial: ask the shared table first.',
    ['async', 'before-dial'],
    affinityDefaults.claim,
  ),
  claim_timeout: duration('before-dial: how long to wait for the shared table before going on without it.', {
    defaultMs: affinityDefaults.claimTimeoutMs,
  }),
});

export const listenerShape = section('An address that clients reach.', {
  name: name('The name in logs, metrics and commands.'),
  bind: readBy(
    readListenerBind,
    'Protocol, address and port: tcp://0.0.0.0:5432, udp://[::]:7777; or unix:/path. The mode of such a socket is what the umask leaves of 0777 (0755 by default, 0700 with the systemd unit), and only who may write to it can connect: set the umask (UMask= in systemd) for clients of other users.',
    {
      type: 'string',
      pattern: '^((tcp|udp)://.+:\\d+|unix:/.+)$',
    },
  ),
  bind_device: device(
    'Only clients that come in by this network device or VRF (SO_BINDTODEVICE). A change makes it another listener: open flows end.',
  ),
  pool: name('The pool that serves its clients.'),
  affinity: z
    .union([z.enum(['none']), affinitySection], {
      error: 'must be none or a map of keys and values (key, ttl, ...)',
    })
    .meta({
      description: 'What a client is recognised by, and for how long it keeps its backend; none: no pins.',
    })
    .optional(),
  timeouts: section('When to give up.', {
    connect: duration('TCP: one attempt to reach a backend.', { defaultMs: tcpTimeouts.connectMs }),
    idle: duration(
      `A flow ends when nothing moved for this long. A reader that drains what the kernel holds for it moves something. Default ${formatDuration(tcpTimeouts.idleMs)} for TCP, ${formatDuration(udpIdleMs)} for UDP.`,
      {},
    ),
    half_close: duration('TCP: one side has ended and the other is silent.', {
      defaultMs: tcpTimeouts.halfCloseMs,
    }),
  }).optional(),
  limits: section('How much this listener carries; what is above is turned away.', {
    flows: whole('Open flows; 0: as many as limits.flows of the instance.', 0, flowsMax, 0),
    reserve: autoOr(
      'Open flows that other listeners cannot take from this one; auto: its even part of a quarter of limits.flows of the instance.',
      flowsMax,
      listenerLimitDefaults.reserve,
      0,
    ),
    flows_per_client: whole(
      'Open flows of one client address in each worker, whose connections the kernel spreads over all; 0: no limit.',
      0,
      flowsMax,
      0,
    ),
    new_flows_per_client: whole(
      'New flows a second of one client address in each worker; 0: no limit.',
      0,
      ratePerSecondMax,
      0,
    ),
    new_flows: whole('New flows a second; 0: no limit.', 0, ratePerSecondMax, 0),
  }).optional(),
  tcp: tcpSection.optional(),
  udp: udpSection.optional(),
});

export type ListenerShape = z.output<typeof listenerShape>;
