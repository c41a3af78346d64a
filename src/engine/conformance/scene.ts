/**
 * Where a story is played. Stories speak of loopback (`127.0.0.1` and its neighbours, `::1`); another scene has their sockets, and the
 * engine's listeners, elsewhere, and its engine may tell less of how a flow ended, or count more of what it moved.
 */
import assert from 'node:assert/strict';
import type { TerminationCode } from '../../core/termination.ts';
import type { Closed, FromEngine, StartOptions, ToEngine } from './messages.ts';

/** Payload. Datagrams: of a conversation. */
export interface Moved {
  readonly bytesIn: number;
  readonly bytesOut: number;
  readonly datagramsIn?: number;
  readonly datagramsOut?: number;
}

export interface Scene {
  /** A command the engine's process is started through, before that of the story. */
  readonly wrapper: readonly string[];
  readonly start: StartOptions;
  /** Where clients and backends are. */
  home(ip: string): string;
  /** Where clients reach the engine. */
  front(ip: string): string;
  /** An address of either kind, with or without a port, as stories say it. */
  said(address: string): string;
  /** What the engine is told, with the scene's addresses. */
  tell(message: ToEngine): ToEngine;
  /** What it has reported, as stories say it. */
  hear(event: FromEngine): FromEngine;
  /** What the engine calls such an end. */
  codeOf(code: TerminationCode): TerminationCode;
  /** Throws where the engine has counted something else. */
  assertMoved(closed: Closed, moved: Moved): void;
}

/** Everything on this machine's loopback, and an engine with sockets of its own. */
export const loopbackScene: Scene = {
  wrapper: [],
  start: {},
  home: (ip) => ip,
  front: (ip) => ip,
  said: (address) => address,
  tell: (message) => message,
  hear: (event) => event,
  codeOf: (code) => code,
  assertMoved: (closed, moved) =>
    assert.deepEqual(
      Object.fromEntries(Object.keys(moved).map((key) => [key, closed[key as keyof Moved]])),
      moved,
    ),
};
