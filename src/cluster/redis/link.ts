/**
 * A way to Redis, whatever its form: where a key is, is asked of the link, and what comes back is an answer or an Error
 * that says what happened. Every link tries for ever until it is closed.
 *
 *   ready   commands can be sent, again or for the first time
 *   close   they cannot
 *   error   why not, as an Error; also a failure that others make up for
 */
import { EventEmitter } from 'node:events';
import type { Redis } from 'ioredis';
import type { RedisPlan } from '../../core/cluster-plan.ts';
import type { Place } from './connector.ts';
import { RedisNode } from './node.ts';
import type { ReplyBudget } from './reply-guard.ts';

export interface RedisLink extends EventEmitter {
  /** Commands can be sent. */
  readonly isUsable: boolean;
  /** Streams of several keys can be waited for in one command: all keys are on one server. */
  readonly isOne: boolean;
  /** Sends a command to the server that has the key. */
  ask<T>(key: string, command: (redis: Redis) => Promise<T>): Promise<T>;
  /** The servers that hold keys between them. */
  primaries(): readonly RedisNode[];
  /** Drops connections that are in use, and makes new ones. */
  reconnect(): void;
  close(): void;
}

export interface LinkOptions {
  readonly plan: RedisPlan;
  readonly blockMs: number;
  readonly budget: ReplyBudget;
}

/** One server: at an address, at a socket, or where the Sentinels say. */
export class SingleLink extends EventEmitter implements RedisLink {
  readonly isOne = true;
  private readonly node: RedisNode;

  constructor(options: LinkOptions, find: () => Place | Promise<Place>) {
    super();
    this.node = new RedisNode({
      ...options,
      role: 'server',
      database: options.plan.database,
      find,
      ready: () => this.emit('ready'),
      closed: () => this.emit('close'),
      failed: (error) => this.tell(error),
    });
  }

  get isUsable(): boolean {
    return this.node.isUsable;
  }

  ask<T>(_key: string, command: (redis: Redis) => Promise<T>): Promise<T> {
    return this.node.ask(command);
  }

  primaries(): readonly RedisNode[] {
    return [this.node];
  }

  reconnect(): void {
    this.node.reconnect();
  }

  close(): void {
    this.node.close();
  }

  private tell(error: Error): void {
    // An 'error' event nobody listens to is thrown.
    if (this.listenerCount('error') > 0) this.emit('error', error);
  }
}
