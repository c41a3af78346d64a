/**
 * Begins connections to backends: makes the socket, sets what counts before the handshake, chooses where it leaves
 * from, and calls connect(2).
 *
 *    no `upstream` in the plan --> socket, connect
 *    sources                   --> socket, bind(source, no port), connect --EADDRNOTAVAIL--> the next source
 *    transparent               --> socket, bind(the client's address, no port), connect
 *
 * A port is chosen at connect(2) (IP_BIND_ADDRESS_NO_PORT), when the destination is known: so each source address
 * has all its ports for each backend, not for all of them together. UDP has no such rule: there a source address
 * has its ports once, and a port that cannot be had is found at bind(2). Sources begin in turn, so they fill up alike.
 *
 * What this machine refuses (no permission, an address that is not its own) is told to the host once for each plan.
 */
import type { Address } from '../../core/address.ts';
import type { Flow } from '../../core/flow.ts';
import type { UpstreamPlan } from '../../core/plan.ts';
import { Arena, type Region } from '../../linux/arena.ts';
import {
  AF_INET,
  AF_UNIX,
  IP_BIND_ADDRESS_NO_PORT,
  IP_TRANSPARENT,
  IPPROTO_IP,
  IPPROTO_IPV6,
  IPV6_TRANSPARENT,
  SO_MARK,
  SOL_SOCKET,
} from '../../linux/constants.ts';
import { type Endpoint, encodeEndpoint } from '../../linux/endpoint.ts';
import {
  EADDRINUSE,
  EADDRNOTAVAIL,
  EAGAIN,
  ECONNREFUSED,
  EINPROGRESS,
  ENODEV,
  errnoName,
} from '../../linux/errno.ts';
import { bind, close, connect, type Descriptor, setOption } from '../../linux/libc.ts';
import { leadsToItself } from '../../linux/own-end.ts';
import { encodeAddress, inet6Bytes } from '../../wire/sockaddr.ts';
import type { DialFailure, EngineHost } from '../engine.ts';
import { bindToDevice, setBeforeHandshake, setUpstreamBuffers } from './socket-options.ts';
import { closeWithReset, dialFailure, newSocket } from './sockets.ts';

type Kind = 'stream' | 'datagram';

interface Source {
  readonly ip: string;
  readonly endpoint: Endpoint;
}

interface Sources {
  readonly v4: readonly Source[];
  readonly v6: readonly Source[];
  /** Troubles the host has heard of. */
  readonly told: Set<string>;
}

/** In place of a trouble to tell: this source address has no port left, another one may. */
const withoutPort = '';

export class Dialer {
  /** What the last call of a dial said: after one that gave a descriptor connect(2)'s 0 or -EINPROGRESS. */
  result = 0;
  readonly #host: EngineHost;
  /** Where the backend's address is. */
  readonly #target: Region;
  readonly #source: Region;
  #sources = new WeakMap<UpstreamPlan, Sources>();
  #turn = 0;

  /** @param target holds the backend's address when {@link dial} is called */
  constructor(host: EngineHost, target: Region) {
    this.#host = host;
    this.#target = target;
    this.#source = new Arena(inet6Bytes).cut(inet6Bytes);
  }

  /** Troubles are told again: a plan that is loaded anew may have left a pool, and so its object, as it was. */
  planChanged(): void {
    this.#sources = new WeakMap();
  }

  /**
   * A socket that connects, or is connected, to `endpoint`, whose bytes are in the target region.
   * @param upstream how it leaves: as the flow's listener says, or said since
   */
  dial(
    flow: Flow,
    endpoint: Endpoint,
    kind: Kind,
    upstream: UpstreamPlan | undefined,
  ): Descriptor | DialFailure {
    const { tcp, udp } = flow.listener.plan;
    this.result = 0;
    if (upstream !== undefined && endpoint.family !== AF_UNIX) {
      return this.#dialFrom(upstream, flow, endpoint, kind);
    }
    const fd = newSocket(endpoint.family, kind);
    if (fd < 0) return this.#withoutSocket(fd, endpoint.family);
    if (kind === 'datagram') setUpstreamBuffers(fd, udp);
    else if (endpoint.family !== AF_UNIX) setBeforeHandshake(fd, tcp);
    return this.#connect(fd, endpoint);
  }

  #withoutSocket(result: number, family: number): DialFailure {
    this.result = result;
    return dialFailure(result, family);
  }

  #connect(fd: Descriptor, endpoint: Endpoint): Descriptor | DialFailure {
    this.result = connect(fd, this.#target, endpoint.length);
    if (this.result >= 0 || this.result === -EINPROGRESS) {
      if (!leadsToItself(fd, endpoint)) return fd;
      this.result = -ECONNREFUSED;
      closeWithReset(fd);
    } else close(fd);
    return dialFailure(this.result, endpoint.family);
  }

  #dialFrom(upstream: UpstreamPlan, flow: Flow, endpoint: Endpoint, kind: Kind): Descriptor | DialFailure {
    const { family } = endpoint;
    const sources = this.#sourcesOf(upstream);
    const choices = family === AF_INET ? sources.v4 : sources.v6;
    const first = this.#turn++;
    for (let i = 0; i < Math.max(1, choices.length); i++) {
      const fd = newSocket(family, kind);
      if (fd < 0) return this.#withoutSocket(fd, family);
      if (kind === 'stream') setBeforeHandshake(fd, flow.listener.plan.tcp);
      else setUpstreamBuffers(fd, flow.listener.plan.udp);
      let trouble = setRoute(fd, upstream);
      if (trouble === undefined && upstream.transparent) {
        trouble = this.#bindToClient(fd, flow.client, family, kind);
      } else if (trouble === undefined && choices.length > 0) {
        trouble = this.#bindToSource(fd, choices[(first + i) % choices.length]!, kind);
      }
      if (trouble === undefined) {
        const dialed = this.#connect(fd, endpoint);
        if (typeof dialed === 'number' || !isWithoutPort(this.result)) return dialed;
      } else {
        close(fd);
        if (trouble !== withoutPort) this.#tell(flow, sources, trouble);
      }
    }
    return 'local-fault';
  }

  /** Undefined, or what is wrong. */
  #bindToSource(fd: Descriptor, source: Source, kind: Kind): string | undefined {
    this.#source.bytes.set(source.endpoint.bytes);
    const result = this.#bind(fd, source.endpoint.length, kind);
    this.result = result;
    if (result === 0) return undefined;
    if (result === -EADDRINUSE) return withoutPort;
    const hint = result === -EADDRNOTAVAIL ? '; it is no address of this machine' : '';
    return `source ${source.ip}: bind: ${errnoName(result)}${hint}`;
  }

  /** Undefined, or what is wrong. */
  #bindToClient(fd: Descriptor, client: Address, family: number, kind: Kind): string | undefined {
    const isV4 = family === AF_INET;
    if (isV4 !== (client.family === 4)) {
      return `transparent: no IPv${isV4 ? 6 : 4} client can reach an IPv${isV4 ? 4 : 6} backend by its own address`;
    }
    const option = isV4
      ? setOption(fd, IPPROTO_IP, IP_TRANSPARENT, 1)
      : setOption(fd, IPPROTO_IPV6, IPV6_TRANSPARENT, 1);
    if (option < 0) return `transparent: ${errnoName(option)}; it needs CAP_NET_ADMIN`;
    const length = encodeAddress(client, this.#source.view, 0);
    // The port, in both families: the client's own may be in use here, by what it sent us.
    this.#source.view.setUint16(2, 0);
    const result = this.#bind(fd, length, kind);
    this.result = result;
    if (result === 0) return undefined;
    return result === -EADDRINUSE ? withoutPort : `transparent: bind: ${errnoName(result)}`;
  }

  /** bind(2) to the source region, where the port is 0. */
  #bind(fd: Descriptor, length: number, kind: Kind): number {
    // A kernel that does not know it (before 4.2) chooses the port here.
    if (kind === 'stream') setOption(fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, 1);
    return bind(fd, this.#source, length);
  }

  #sourcesOf(upstream: UpstreamPlan): Sources {
    const known = this.#sources.get(upstream);
    if (known !== undefined) return known;
    const all = upstream.sources.flatMap((ip): Source[] => {
      const endpoint = encodeEndpoint({ kind: 'inet', ip, port: 0 });
      return endpoint === undefined ? [] : [{ ip, endpoint }];
    });
    const isV4 = ({ endpoint }: Source): boolean => endpoint.family === AF_INET;
    const sources = {
      v4: all.filter(isV4),
      v6: all.filter((source) => !isV4(source)),
      told: new Set<string>(),
    };
    this.#sources.set(upstream, sources);
    return sources;
  }

  #tell(flow: Flow, sources: Sources, trouble: string): void {
    if (sources.told.has(trouble)) return;
    sources.told.add(trouble);
    this.#host.trouble(flow.listener, flow, trouble);
  }
}

/** Mark and device. Undefined, or what is wrong. */
function setRoute(fd: Descriptor, upstream: UpstreamPlan): string | undefined {
  if (upstream.mark !== undefined) {
    const result = setOption(fd, SOL_SOCKET, SO_MARK, upstream.mark);
    if (result < 0) return `mark ${upstream.mark}: ${errnoName(result)}; it needs CAP_NET_ADMIN`;
  }
  const result = bindToDevice(fd, upstream.device);
  if (result === -ENODEV) return `there is no device ${upstream.device}`;
  return result < 0 ? `device ${upstream.device}: ${errnoName(result)}` : undefined;
}

/** connect(2) found no free port for this source and destination. */
function isWithoutPort(result: number): boolean {
  return result === -EADDRNOTAVAIL || result === -EAGAIN;
}
