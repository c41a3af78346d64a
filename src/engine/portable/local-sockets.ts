/**
 * The sockets of one UDP listener: one, or for a wildcard bind one for each address of this machine besides it.
 *
 * node:dgram cannot say which address a datagram was sent to (IP_PKTINFO), nor choose the one a reply leaves
 * from. A socket bound to one address does both, and the kernel prefers it to the wildcard. Not covered, and answered from
 * the address the kernel picks: addresses no interface lists (127.0.0.2, anycast by routing), those beyond
 * `localSocketsMax`, and new ones until the next look.
 */
import { networkInterfaces } from 'node:os';
import type { Address } from '../../core/address.ts';
import { localSocketsMax } from '../../core/limits.ts';
import { rescanMs } from './bounds.ts';
import { LocalSocket, type PortSharing, type SocketBuffers } from './local-socket.ts';
import { socketAddress } from './socket-address.ts';

export class LocalSockets {
  readonly #opened: (socket: LocalSocket) => void;
  readonly #sharing: PortSharing;
  readonly #buffers: SocketBuffers;
  readonly #first: LocalSocket;
  readonly #byIp = new Map<string, LocalSocket>();
  #timer: NodeJS.Timeout | undefined;
  #isClosed = false;

  private constructor(
    first: LocalSocket,
    sharing: PortSharing,
    buffers: SocketBuffers,
    opened: (socket: LocalSocket) => void,
  ) {
    this.#first = first;
    this.#buffers = buffers;
    this.#sharing = sharing;
    this.#opened = opened;
    opened(first);
  }

  /**
   * Binds `ip`. Rejects with the system error.
   * @param opened called with each socket, those found later included
   */
  static async bind(
    ip: string,
    port: number,
    reusePort: boolean,
    buffers: SocketBuffers,
    opened: (socket: LocalSocket) => void,
  ): Promise<LocalSockets> {
    const isWildcard = socketAddress(ip, port)?.isWildcard === true;
    const sharing = reusePort ? 'port' : isWildcard ? 'address' : 'none';
    // SO_REUSEADDR lets a second process take the same port without a word: a bind without it comes first, and fails then.
    if (sharing === 'address' && port !== 0) (await LocalSocket.bind(ip, port, 'none', undefined)).close();
    const first = await LocalSocket.bind(ip, port, sharing, buffers);
    const sockets = new LocalSockets(first, sharing, buffers, opened);
    if (isWildcard) {
      await sockets.#rescan();
      sockets.#timer = setInterval(() => void sockets.#rescan(), rescanMs);
      sockets.#timer.unref();
    }
    return sockets;
  }

  /**
   * With a socket that is bound already. On a wildcard it is the only one: replies leave from the address the kernel picks, as the ones
   * of single addresses would need the right to the port.
   */
  static async use(
    passed: number,
    ip: string,
    buffers: SocketBuffers,
    opened: (socket: LocalSocket) => void,
  ): Promise<LocalSockets> {
    return new LocalSockets(await LocalSocket.use(passed, ip, buffers), 'none', buffers, opened);
  }

  get local(): Address {
    return this.#first.local;
  }

  close(): void {
    this.#isClosed = true;
    clearInterval(this.#timer);
    this.#first.close();
    for (const socket of this.#byIp.values()) socket.close();
    this.#byIp.clear();
  }

  async #rescan(): Promise<void> {
    const wanted = localIps(this.#first.local.family === 4);
    for (const [ip, socket] of this.#byIp) {
      if (wanted.has(ip)) continue;
      socket.close();
      this.#byIp.delete(ip);
    }
    for (const ip of wanted) {
      if (this.#byIp.has(ip) || this.#byIp.size >= localSocketsMax) continue;
      // Not yet usable (IPv6 checks for duplicates first) or taken: the wildcard serves it until the next look.
      const socket = await LocalSocket.bind(ip, this.#first.port, this.#sharing, this.#buffers).catch(
        () => undefined,
      );
      if (socket === undefined) continue;
      if (this.#isClosed || this.#byIp.has(ip)) socket.close();
      else {
        this.#byIp.set(ip, socket);
        this.#opened(socket);
      }
    }
  }
}

type Interfaces = ReturnType<typeof networkInterfaces>;
/** The kernel's answer, for a moment: a listener on a thousand ports looks a thousand times at once. */
let seen: Interfaces | undefined;
const seenForMs = 100;

function interfaces(): Interfaces {
  if (seen !== undefined) return seen;
  try {
    seen = networkInterfaces();
  } catch {
    // A sandbox without AF_NETLINK does not tell; the wildcard alone serves then.
    seen = {};
  }
  setTimeout(() => {
    seen = undefined;
  }, seenForMs).unref();
  return seen;
}

function localIps(onlyV4: boolean): Set<string> {
  const ips = new Set<string>();
  for (const [name, entries] of Object.entries(interfaces())) {
    for (const { address, family, scopeid } of entries ?? []) {
      if (family === 'IPv4') ips.add(address);
      else if (!onlyV4) ips.add(scopeid > 0 ? `${address}%${name}` : address);
    }
  }
  return ips;
}
