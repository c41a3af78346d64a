/**
 * One connection to one Redis server or Sentinel, in the Redis client's hands (ioredis) and never given up: after any
 * failure it connects anew, with the passwords and certificates its files hold by then. A command without a
 * connection fails at once, one without an answer fails in time, and what the client says of a failure is
 * replaced by what happened, and to whom.
 */
import type { Socket } from 'node:net';
import { Redis } from 'ioredis';
import type { RedisPlan } from '../../core/cluster-plan.ts';
import { FaultError, faultOf } from '../errors.ts';
import { retryDelayMs, retryMsMin } from '../retry-delay.ts';
import { Connector, type Place } from './connector.ts';
import type { ReplyBudget } from './reply-guard.ts';
import { sentinelPassword, serverPassword, type TlsSecrets, tlsSecrets } from './secrets.ts';

/** A connection is closed when it owes an answer this long after the one who asked has given up. */
const answerGraceMs = 500;
const keepAliveMs = 10_000;

export interface NodeOptions {
  readonly plan: RedisPlan;
  readonly role: 'server' | 'sentinel';
  /** How long commands may wait by themselves (XREAD BLOCK); 0 for none. */
  readonly blockMs: number;
  readonly database: number;
  readonly budget: ReplyBudget;
  /** Where to; asked at every connect. */
  readonly find: () => Place | Promise<Place>;
  readonly ready: () => void;
  readonly closed: () => void;
  readonly failed: (error: Error) => void;
}

export class RedisNode {
  readonly redis: Redis;
  private readonly options: NodeOptions;
  private readonly connector: Connector;
  /** Why this side ended a socket: the client tells the commands it was asked on only that it is gone. */
  private readonly ended = new WeakMap<object, { readonly error: FaultError; readonly answered: number }>();
  private lastError: Error | undefined;
  private unreadable: Error | undefined;
  private wasReady = false;
  /** Who waits until commands can be sent. */
  private readonly waiting = new Set<(error: Error | undefined) => void>();
  /** Connections in a row on which nothing that was asked got an answer of use. */
  private refused = 0;
  private hasAnswered = false;
  private isClosed = false;

  constructor(options: NodeOptions) {
    this.options = options;
    const { plan, blockMs } = options;
    this.connector = new Connector({
      secrets: () => this.renewTls(),
      find: options.find,
      connectMsMax: plan.connectTimeoutMs,
      answerMsMax: plan.commandTimeoutMs + blockMs + answerGraceMs,
      budget: options.budget,
      failed: (socket: Socket, error, answered) => this.ended.set(socket, { error, answered }),
    });
    this.redis = this.create();
    this.redis.on('error', (error: Error) => this.noteError(error));
    this.redis.on('ready', () => {
      if (!this.isUsable) return;
      this.wasReady = true;
      this.release(undefined);
      options.ready();
    });
    this.redis.on('close', () => {
      this.release(this.lastError ?? new FaultError('away', `${this.where || 'Redis'} is not connected`));
      options.closed();
    });
    this.redis.on('end', () => this.revive());
    this.redis.connect().catch(() => {});
  }

  /** Ready, and not being closed: what is asked gets an answer. */
  get isUsable(): boolean {
    return this.redis.status === 'ready' && this.redis.stream.writable;
  }

  /** It is being connected for the first time, and nothing has gone wrong yet. */
  get isUntried(): boolean {
    return !this.wasReady && this.lastError === undefined;
  }

  /** Whom it leads to, for people. */
  get where(): string {
    return this.connector.where;
  }

  /**
   * Sends a command, one by itself and not a pipeline. Rejects with what went wrong, in words of the user's, or with
   * the error the server answered. A command that throws the fault `protocol`, because the answer makes no sense, costs
   * the connection: its answers may belong to other questions.
   */
  async ask<T>(command: (redis: Redis) => Promise<T>): Promise<T> {
    const { stream } = this.redis;
    const { asked } = this.connector;
    if (!this.isUsable) throw new FaultError('away', `${this.where || 'Redis'} is not connected`);
    try {
      const answer = await command(this.redis);
      this.refused = 0;
      this.hasAnswered = true;
      return answer;
    } catch (error) {
      if (error instanceof FaultError && error.fault === 'protocol' && stream === this.redis.stream) {
        this.hasAnswered = false;
        this.redis.disconnect(true);
      }
      const end = this.ended.get(stream);
      // An answer that is too large is the fault of what was asked, and of nothing asked after it.
      const isOthers = end?.error.fault === 'too-large' && end.answered !== asked;
      throw this.explain(isOthers ? error : (end?.error ?? error));
    }
  }

  /** Resolves once commands can be sent; rejects with what is in the way, or after `timeoutMs`. */
  untilUsable(timeoutMs: number): Promise<void> {
    if (this.isUsable) return Promise.resolve();
    return new Promise((resolve, reject) => {
      const end = (error: Error | undefined): void => {
        clearTimeout(timer);
        this.waiting.delete(end);
        if (error === undefined) resolve();
        else reject(error);
      };
      const timer = setTimeout(() => end(new FaultError('timeout', `${this.where} is not ready`)), timeoutMs);
      this.waiting.add(end);
    });
  }

  /** Connects anew, unless it is on its way already. */
  reconnect(): void {
    if (this.redis.status === 'ready') this.redis.disconnect(true);
  }

  close(): void {
    this.isClosed = true;
    this.redis.disconnect();
    this.release(new FaultError('away', 'Connection is closed.'));
  }

  private release(error: Error | undefined): void {
    for (const end of this.waiting) end(error);
  }

  private create(): Redis {
    const { plan, role, blockMs, database } = this.options;
    const { connector } = this;
    const username = role === 'server' ? plan.username : plan.sentinelUsername;
    const redis = new Redis({
      lazyConnect: true,
      Connector: class {
        constructor() {
          // biome-ignore lint/correctness/noConstructorReturn: the client makes its connector itself
          return connector;
        }
      } as never,
      protocol: 2,
      db: database,
      // The connector's own cannot be prolonged.
      connectTimeout: 0,
      commandTimeout: plan.commandTimeoutMs + blockMs,
      // INFO may be forbidden; a server that is loading says so to every command, and is asked again.
      enableReadyCheck: false,
      enableOfflineQueue: false,
      maxRetriesPerRequest: 0,
      autoResendUnfulfilledCommands: false,
      disableClientInfo: true,
      keepAlive: keepAliveMs,
      // A primary that became a replica: the connection is of no use, and Sentinel knows of the new one.
      reconnectOnError: onReadOnly(),
      retryStrategy: () => (this.isClosed ? null : this.pauseMs()),
      ...(username === undefined ? {} : { username }),
      // Only tells the client which event says that the socket is open.
      ...(plan.tls === undefined ? {} : { tls: {} }),
    });
    const connect = redis.connect.bind(redis);
    redis.connect = () => {
      // The client takes the password from its options before it asks the connector for a socket.
      this.renewPassword();
      return connect();
    };
    return redis;
  }

  private renewPassword(): void {
    const { plan, role } = this.options;
    const { options } = this.redis;
    try {
      const password = role === 'server' ? serverPassword(plan) : sentinelPassword(plan);
      if (password === undefined) delete options.password;
      else options.password = password;
      this.unreadable = undefined;
    } catch (error) {
      this.unreadable = error as Error;
    }
  }

  private renewTls(): TlsSecrets | undefined {
    if (this.unreadable !== undefined) throw this.unreadable;
    const { tls } = this.options.plan;
    return tls === undefined ? undefined : tlsSecrets(tls);
  }

  private noteError(error: Error): void {
    const isHandshake = this.redis.status === 'connect';
    this.lastError = this.explain(error);
    // ioredis (6.0) takes a connection into use whose SELECT was refused (BUSY, no permission) or not answered in time: in
    // database 0, beside the other instances.
    if (isHandshake) this.redis.disconnect(true);
    this.options.failed(this.lastError);
  }

  /**
   * Before it connects anew. Its own count begins again with every connection that opens, and one that opens proves nothing:
   * a server that has too many clients, or refuses strangers, says so afterwards, as does what stands before one that is down.
   */
  private pauseMs(): number {
    if (!this.hasAnswered) this.refused++;
    this.hasAnswered = false;
    return retryDelayMs(Math.max(1, this.refused));
  }

  /** ioredis ends a connection for good in some cases nobody asked for. */
  private revive(): void {
    if (this.isClosed) return;
    setTimeout(
      () => {
        if (!this.isClosed && this.redis.status === 'end') this.redis.connect().catch(() => {});
      },
      retryDelayMs(++this.refused),
    );
  }

  /** The error as the user can act on it. */
  private explain(error: unknown): Error {
    if (error instanceof FaultError) return error;
    const { where } = this;
    const message = error instanceof Error ? error.message : String(error);
    const fault = faultOf(error);
    if (fault === 'no-auth') return new FaultError(fault, this.explainRefusal(message));
    // The client's own words, about options of its own; those of the system say more.
    if (fault === 'away' && (error as NodeJS.ErrnoException).code === undefined)
      return new FaultError(fault, `${where || 'Redis'}: the connection ended before the answer came`);
    return error instanceof Error ? error : new Error(message);
  }

  private explainRefusal(message: string): string {
    const { plan, role } = this.options;
    const isServer = role === 'server';
    const key = `cluster.redis.${isServer ? '' : 'sentinel_'}password_file`;
    const file = isServer ? plan.passwordFile : plan.sentinelPasswordFile;
    const whom = `${isServer ? 'redis' : 'Sentinel'} ${this.where}`;
    if (file === undefined && (!isServer || plan.password === undefined))
      return `${whom} wants a password; set ${key}`;
    const user = (isServer ? plan.username : plan.sentinelUsername) ?? 'default';
    const source = file === undefined ? 'of cluster.redis.url' : `in ${file}`;
    return `${whom} refused the password ${source} (user ${user}): ${message}`;
  }
}

/** True for the first READONLY of a connection's end: all commands under way get one. */
function onReadOnly(): (error: Error) => boolean {
  let endedAtMs = Number.NEGATIVE_INFINITY;
  return (error) => {
    if (!error.message.includes('READONLY') || performance.now() - endedAtMs < retryMsMin) return false;
    endedAtMs = performance.now();
    return true;
  };
}
