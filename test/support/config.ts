/**
 * Configurations as objects: YAML is a superset of JSON, so they are written as JSON, line by line. Listeners
 * bind a free port of loopback; the metrics and admin pages do too.
 */
import { existsSync, writeFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { eventually } from './eventually.ts';
import { ask, fetchFresh } from './fresh-page.ts';
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

/** Checks in quick succession: a verdict within two seconds, for which a busy machine has to be late by as much. */
export const quickCheck = { type: 'tcp', interval: '500ms', timeout: '500ms', fall: 4, rise: 1 };
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
  await workersHave(pinion);
}

/**
 * Resolves once the workers use what control has told them so far, which they may still have to read when control's log or a page
 * tells of it: they are asked for their flows, and answer in turn. Where the admin address is not reached from here, after a second.
 */
export async function workersHave(pinion: Pinion): Promise<void> {
  const path = '/connections?most=1';
  const place = String(pinion.events('listening').findLast(({ listener }) => listener === 'admin')?.address);
  const isAsked = place.startsWith('unix:')
    ? ask(place.slice('unix:'.length), 'GET', path).then(() => true)
    : admin(pinion, 'GET', path).then(({ status }) => status === 200);
  if (!(await isAsked.catch(() => false))) await sleep(1_000);
}

/** Asks a page of the admin address; `/status` is as it is now. Returns the status and the parsed answer. */
export async function admin(
  pinion: Pinion,
  method: 'GET' | 'POST' | 'DELETE',
  path: string,
): Promise<{ readonly status: number; readonly body: unknown }> {
  const response = await fetchFresh(`http://127.0.0.1:${pinion.port('admin')}${path}`, {
    method,
    headers: { authorization: `Bearer ${adminToken}` },
  });
  return { status: response.status, body: await response.json() };
}
