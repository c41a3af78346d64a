/** The relays compared, in the order of the columns. */
import { direct } from './peers/direct.ts';
import { haproxy } from './peers/haproxy.ts';
import { nginx } from './peers/nginx.ts';
import { pinion } from './peers/pinion.ts';
import type { Peer } from './work.ts';

export const peers: readonly Peer[] = [direct, haproxy, nginx, pinion('epoll'), pinion('portable')];

/** Measured only when asked for with --peers: what sharing pins costs the relay. */
export const extraPeers: readonly Peer[] = [pinion('epoll', { clustered: true })];

/** The build of another checkout, to compare with: before and after in one run. */
export const otherBuild = (checkout: string): Peer => pinion('epoll', { checkout });
