/** What a plan says of the PROXY protocol: whose headers are believed, and what backends are told. */

/** In place of a network: whoever connects to a unix socket. */
export const unixPeers = 'unix';

export interface ProxyInPlan {
  /** Peers that have to begin with a header, and are believed: networks and addresses, or {@link unixPeers}. */
  readonly from: readonly string[];
  /** Until the header has to be complete. */
  readonly timeoutMs: number;
  /** UDP: in which datagrams. */
  readonly udp: HeaderDatagrams;
}

/** Which datagrams have a header: the first ones of a conversation, or each. */
export const headerDatagrams = ['first', 'every'] as const;
export type HeaderDatagrams = (typeof headerDatagrams)[number];

/** What follows the addresses of version 2. */
export const proxyTlvs = ['authority', 'unique-id', 'incoming', 'checksum'] as const;
export type ProxyTlv = (typeof proxyTlvs)[number];

export interface ProxyOutPlan {
  readonly version: 1 | 2;
  readonly tlvs: readonly ProxyTlv[];
  /** UDP: in which datagrams; first: in each until the backend has answered. */
  readonly udp: HeaderDatagrams;
}
