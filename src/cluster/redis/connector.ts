/**
 * How the Redis client (ioredis) gets its socket: a guarded one, to a place that is looked up anew each time, within a
 * time that what the server sends cannot prolong. What goes wrong before there is a socket (a file that is missing,
 * no Sentinel that answers) becomes a socket that has failed: the client then tries again like after any other
 * failure, while it gives up for good when a connector throws.
 */
import { type LookupFunction, type NetConnectOpts, createConnection as openTcp, Socket } from 'node:net';
import { connect as openTls } from 'node:tls';
import { AbstractConnector } from 'ioredis';
import type { HostPort } from '../../core/cluster-plan.ts';
import { redisLineBytesMax, redisReplyBytesMax, redisReplyDepthMax } from '../../core/limits.ts';
import { addressesOf } from '../../rooms/look-up.ts';
import { FaultError } from '../errors.ts';
import { guardStream } from './guarded-stream.ts';
import { type ReplyBudget, ReplyGuard } from './reply-guard.ts';
import type { TlsSecrets } from './secrets.ts';

export type Place = HostPort | { readonly path: string };

const limits = {
  costMax: redisReplyBytesMax,
  lineBytesMax: redisLineBytesMax,
  depthMax: redisReplyDepthMax,
};

export interface ConnectorOptions {
  /** Called at every connect, before anything else: reads what may have changed in files. */
  readonly secrets: () => TlsSecrets | undefined;
  readonly find: () => Place | Promise<Place>;
  readonly connectMsMax: number;
  readonly answerMsMax: number;
  readonly budget: ReplyBudget;
  /** Why a socket is about to end, when this side ends it, and how many commands it had answered. */
  readonly failed: (socket: Socket, error: FaultError, answered: number) => void;
}

export function placeText(place: Place): string {
  if ('path' in place) return place.path;
  return `${place.host.includes(':') ? `[${place.host}]` : place.host}:${place.port}`;
}

/**
 * For sockets: Node's own would ask anew for each, and go on asking after the socket is given up, while nobody's else
 * name is looked up.
 */
const findAddresses: LookupFunction = (host, { all, hints }, found) => {
  addressesOf(host, hints).then(
    (addresses) => {
      if (all === true) found(null, [...addresses]);
      else found(null, addresses[0]!.address, addresses[0]!.family);
    },
    (error: NodeJS.ErrnoException) => found(error, []),
  );
};

export class Connector extends AbstractConnector {
  /** Where the newest socket leads to; '' before the first. */
  where = '';
  private readonly settings: ConnectorOptions;
  private guard: ReplyGuard | undefined;
  /** Connects so far; one that is overtaken or ended while it looks where to is dropped. */
  private attempts = 0;

  constructor(settings: ConnectorOptions) {
    super(0);
    this.settings = settings;
  }

  /** Commands sent on the newest socket. */
  get asked(): number {
    return this.guard?.asked ?? 0;
  }

  /** Always resolves. A socket that is destroyed already stands for what went wrong: {@link firstError}. */
  override async connect(): Promise<Socket> {
    const attempt = ++this.attempts;
    this.connecting = true;
    delete this.firstError;
    try {
      const secrets = this.settings.secrets();
      const place = await this.settings.find();
      if (attempt !== this.attempts) throw new FaultError('away', 'Connection is closed.');
      this.stream = this.open(place, secrets);
    } catch (error) {
      this.firstError = error as Error;
      this.stream = new Socket();
      this.stream.destroy();
    }
    return this.stream;
  }

  override disconnect(): void {
    this.attempts++;
    this.connecting = false;
    this.stream?.destroy();
  }

  private open(place: Place, secrets: TlsSecrets | undefined): Socket {
    const { connectMsMax, answerMsMax, budget, failed } = this.settings;
    const where = placeText(place);
    this.where = where;
    const to: NetConnectOpts =
      'path' in place ? { path: place.path } : { host: place.host, port: place.port, lookup: findAddresses };
    const socket = secrets === undefined ? openTcp(to) : openTls({ ...to, ...secrets });
    socket.on('error', (error) => {
      this.firstError ??= error;
    });
    const timer = setTimeout(() => {
      const step = secrets === undefined ? 'accept the connection' : 'agree on TLS';
      socket.destroy(new FaultError('timeout', `${where} did not ${step} within ${connectMsMax} ms`));
    }, connectMsMax);
    for (const event of [secrets === undefined ? 'connect' : 'secureConnect', 'close'])
      socket.once(event, () => clearTimeout(timer));
    const guard = new ReplyGuard(limits, budget);
    this.guard = guard;
    guardStream(socket, {
      guard,
      where,
      answerMsMax,
      failed: (error) => failed(socket, error, guard.answered),
    });
    return socket;
  }
}
