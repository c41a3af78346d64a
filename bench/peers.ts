/** The relays compared, in the order of the columns. */
import { direct } from './peers/direct.ts';
import { haproxy } from './peers/haproxy.ts';
import { ipvs } from './peers/ipvs.ts';
import { nat } from './peers/nat.ts';
import { nginx } from './peers/nginx.ts';
import { pinion } from './peers/pinion.ts';
import { pinionKernel } from './peers/pinion-kernel.ts';
import type { Peer } from './work.ts';

export const peers: readonly Peer[] = [direct, haproxy, nginx, pinion('epoll'), pinion('portable')];

/** Measured only when asked for with --peers: what sharing pins costs the relay. */
export const extraPeers: readonly Peer[] = [pinion('epoll', { clustered: true })];

/** The build of another checkout, to compare with: before and after in one run. */
export const otherBuild = (checkout: string): Peer => pinion('epoll', { checkout });

/** Of `--kernel`: on hosts of their own, where "no relay" is one that only routes. */
export const kernelPeers: readonly Peer[] = [direct, ipvs, haproxy, nginx, pinion('epoll'), pinionKernel];

/** What the kernel's own translation costs, without anything that balances. */
export const extraKernelPeers: readonly Peer[] = [nat];
