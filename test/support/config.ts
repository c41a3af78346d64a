/**
 * Configurations as objects: YAML is a superset of JSON, so they are written as JSON, line by line. Listeners
 * bind a free port of loopback; the metrics and admin pages do too.
 */
import { existsSync, writeFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { eventually } from './eventually.ts';
import type { Pinion } from './pinion.ts';
import type { Transport } from './ports.ts';
import type { TestServer } from './servers.ts';
import { temporaryFile } from './temporary.ts';

export type Section = Readonly<Record<string, unknown>>;

/** A listener on a free port of 127.0.0.1. */
export function listener(name: string, protocol: Transport, pool: string, more: Section = {}): Section {
  return { name, bind: `${protocol}://127.0.0.1:0`, pool, ...more };
}

export function backendsOf(servers: readonly Pick<TestServer, 'name' | 'address'>[]): Section[] {
  return servers.map(({ name, address }) => ({ name, address }));
}

/** Checks in quick succession: a verdict within a second, and three answers that are late on a busy machine before a backend is down. */
export const quickCheck = { type: 'tcp', interval: '200ms', timeout: '200ms', fall: 3, rise: 2 };
export const noCheck = { type: 'none' };

/** Tests may change everything at an admin address: their token is known to `admin` and, by the environment, to the command. */
export const adminToken = 'a-token-that-tests-have';
process.env.PINION_TOKEN = adminToken;

export function adminAt(listen: string): Section {
  // The same file for all, or a reload of an equal configuration would find another one.
  if (!existsSync(tokenFile)) tokenFile = temporaryFile('token', `${adminToken}\n`);
  return { listen, tokens: { write_file: tokenFile } };
}

let tokenFile = '';

/** The text of a file. PINION_TEST_ENGINE runs every story on one engine. */
export function configText(config: {
  readonly listeners: readonly Section[];
  readonly pools: Readonly<Record<string, Section>>;
  readonly [key: string]: unknown;
}): string {
  const engine = process.env.PINION_TEST_ENGINE ?? 'auto';
  const pages = { metrics: { listen: '127.0.0.1:0' }, admin: adminAt('127.0.0.1:0') };
  // At the end of a test nobody waits for what it left open.
  const shutdown = { drain: '0s' };
  return `${JSON.stringify({ engine, ...pages, shutdown, ...config }, null, 2)}\n`;
}

/** Rewrites the file of a running pinion, sends SIGHUP and waits until the new one is in use. */
export async function reload(pinion: Pinion, text: string): Promise<void> {
  const before = pinion.events('reloaded').length;
  writeFileSync(pinion.configPath, text);
  pinion.process.signal('SIGHUP');
  await eventually('the new configuration in use', () => pinion.events('reloaded').length > before);
  // A worker uses it once it has read its messages, which come after control's log line.
  await sleep(100);
}

/** Asks a page of the admin address. Returns the status and the parsed answer. */
export async function admin(
  pinion: Pinion,
  method: 'GET' | 'POST' | 'DELETE',
  path: string,
): Promise<{ readonly status: number; readonly body: unknown }> {
  const response = await fetch(`http://127.0.0.1:${pinion.port('admin')}${path}`, {
    method,
    headers: { authorization: `Bearer ${adminToken}` },
  });
  return { status: response.status, body: await response.json() };
}
