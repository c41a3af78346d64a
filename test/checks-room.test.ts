/** Control and the checks room when there is more to say than either takes at once: nothing is lost, however late. */
import { once } from 'node:events';
import { type AddressInfo, createServer, type Server } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterEach, expect, test } from 'vitest';
import type { Check, ChecksClient } from '../src/checks/client.ts';
import { roomMessagesWaitingMax } from '../src/core/limits.ts';
import type { Bind, HealthPlan } from '../src/core/plan.ts';
import { poolPlan } from '../src/engine/conformance/listener.ts';
import { eventually } from './support/eventually.ts';
import { freePort } from './support/ports.ts';

const count = roomMessagesWaitingMax + 1_000;
const health: HealthPlan = {
  ...poolPlan({}).health,
  type: 'tcp',
  intervalMs: 60_000,
  timeoutMs: 10_000,
  fall: 1,
  rise: 1,
};
const open: { checks?: ChecksClient; server?: Server }[] = [];

afterEach(async () => {
  for (const { checks, server } of open.splice(0)) {
    await checks?.stop(2_000);
    server?.close();
  }
});

// The room is a thread, which runs the built code; so does its client, which knows where that is.
async function startChecks(hasSockets: boolean): Promise<ChecksClient> {
  const url = new URL('../dist/src/checks/client.js', import.meta.url).href;
  const built = (await import(/* @vite-ignore */ url)) as typeof import('../src/checks/client.ts');
  const checks = new built.ChecksClient({ died: () => {}, restarted: () => {}, file: () => {} }, hasSockets);
  checks.limit(200);
  open.push({ checks });
  return checks;
}

test('a reload of more checks than messages may wait reaches each of them', async () => {
  const checks = await startChecks(true);
  const passed = new Set<number>();
  const server = createServer((socket) => socket.on('error', () => {}).destroy()).listen(
    0,
    '127.0.0.1',
    4_096,
  );
  open.push({ server });
  await once(server, 'listening');
  const target: Bind = { kind: 'inet', ip: '127.0.0.1', port: (server.address() as AddressInfo).port };
  const nowhere: Bind = { ...target, port: await freePort() };
  const begin = (at: Bind): Check[] =>
    Array.from({ length: count }, (_, i) =>
      // Down so far: a check that passes says so.
      checks.check(health, at, false, 0, (up) => up && passed.add(i)),
    );
  const first = begin(nowhere);
  await sleep(200);
  for (const check of first) check.stop();
  begin(target);
  await eventually('each has been checked at its new address', () => passed.size === count, 60_000);
  expect(checks.room.status).toMatchObject({ restarts: 0, dropped: 0 });
});

test('verdicts are kept while control takes none', async () => {
  const checks = await startChecks(false);
  const down = new Set<number>();
  const nowhere: Bind = { kind: 'inet', ip: '127.0.0.1', port: await freePort() };
  for (let i = 0; i < count; i++) checks.check(health, nowhere, true, 500, () => down.add(i));
  await eventually('the room serves', () => checks.room.status.state === 'serving');
  // This thread is control, and it is busy.
  for (const startedAtMs = performance.now(); performance.now() - startedAtMs < 4_000; );
  await eventually('all of them have come', () => down.size === count, 60_000);
});
