/** The admin API as monitors, the command line and the page use it: its answers have the shapes it describes and say what is. */
import { afterEach, beforeEach, expect, test } from 'vitest';
import type { z } from 'zod';
import * as shapes from '../src/front/api/shapes.ts';
import { tcpClient } from './support/clients.ts';
import { admin, backendsOf, configText, listener, quickCheck } from './support/config.ts';
import { eventually } from './support/eventually.ts';
import { type Pinion, startPinion } from './support/pinion.ts';
import { freePort } from './support/ports.ts';
import { stopEverything } from './support/processes.ts';
import { namedTcp, stopServers } from './support/servers.ts';

let pinion: Pinion;
const streams = new AbortController();

beforeEach(async () => {
  const servers = await namedTcp(['a', 'b']);
  const nobody = { name: 'gone', address: `127.0.0.1:${await freePort()}` };
  pinion = await startPinion(
    configText({
      workers: 1,
      listeners: [listener('front', 'tcp', 'pool', { affinity: { key: 'none' } })],
      pools: {
        pool: { policy: 'round-robin', health: quickCheck, backends: [...backendsOf(servers), nobody] },
      },
    }),
  );
});

afterEach(async () => {
  streams.abort();
  await stopEverything();
  await stopServers();
});

/** The answer, which must have the shape that the API describes. */
async function ask<T extends z.ZodType>(
  shape: T,
  method: 'GET' | 'POST' | 'DELETE',
  path: string,
): Promise<z.infer<T>> {
  const { status, body } = await admin(pinion, method, path);
  expect({ status, body }).toEqual({ status: 200, body });
  return shape.parse(body);
}

async function backend(name: string): Promise<shapes.BackendRow> {
  const { pools } = await ask(shapes.statusShape, 'GET', '/v1/status');
  return pools[0]!.backends.find((row) => row.backend === name)!;
}

/** Each event of the stream, until `enough`. */
async function follow(
  path: string,
  enough: (name: string, data: unknown) => boolean,
  lastEventId?: string,
  begun: () => void = () => {},
) {
  const seen: { name: string; id: string | undefined; data: unknown }[] = [];
  const headers = lastEventId === undefined ? {} : { 'last-event-id': lastEventId };
  const response = await fetch(`http://127.0.0.1:${pinion.port('admin')}${path}`, {
    headers,
    signal: streams.signal,
  });
  expect(response.headers.get('content-type')).toMatch(/^text\/event-stream/);
  let text = '';
  for await (const bytes of response.body!) {
    text += Buffer.from(bytes).toString();
    const blocks = text.split('\n\n');
    text = blocks.pop()!;
    for (const block of blocks) {
      const field = (name: string) => new RegExp(`^${name}: (.*)$`, 'm').exec(block)?.[1];
      const name = field('event');
      if (name === undefined) continue;
      const data = JSON.parse(field('data')!) as unknown;
      seen.push({ name, id: field('id'), data });
      begun();
      if (enough(name, data)) return seen;
    }
  }
  throw new Error('the stream has ended');
}

test('status, flows, an order and its preview, events, the stream', async () => {
  const clients = await Promise.all([1, 2, 3, 4].map(() => tcpClient(pinion.port('front'))));
  for (const client of clients) await client.line();
  await eventually('the check to have said why', async () => (await backend('gone')).code === 'refused');

  const status = await ask(shapes.statusShape, 'GET', '/v1/status');
  expect(status.totals.flows).toBe(4);
  expect(status.instance).toMatchObject({ state: 'ready', config: pinion.configPath });
  const [pool] = status.pools;
  expect(pool).toMatchObject({ pool: 'pool', state: 'degraded', flows: 4, listeners: ['front'] });
  const [a, b, gone] = pool!.backends;
  expect(a).toMatchObject({
    state: 'up',
    flows: 2,
    expectedShare: 0.5,
    check: { ok: true },
    pins: expect.any(Number),
  });
  expect(b!.expectedShare).toBe(0.5);
  expect(gone).toMatchObject({ state: 'down', expectedShare: 0, check: { ok: false } });
  expect(Date.parse(status.at) - Date.parse(gone!.since)).toBe(gone!.sinceMs);
  await eventually('the rates to tell of bytes', async () => {
    clients[0]!.socket.write('x'.repeat(100));
    const { listeners, totals } = await ask(shapes.statusShape, 'GET', '/v1/status');
    return listeners[0]!.rates.last10s.bytesInPerS > 0 && totals.rates.last1s.bytesInPerS > 0;
  });

  const flows = () =>
    ask(shapes.flowsShape, 'GET', '/v1/flows?backend=a&client=127.0.0.0/8&sort=oldest&limit=1');
  await expect.poll(flows).toMatchObject({
    matching: 2,
    isPartial: false,
    flows: [{ backend: 'a', listener: 'front' }],
  });

  const seen = await ask(shapes.previewShape, 'POST', '/v1/backends/pool/a/drain?dry_run=true');
  expect(seen).toMatchObject({ flows: 2, flowsEnd: 0, refused: null });
  expect(seen.newClients).toContainEqual({ backend: 'b', before: 0.5, after: 1 });
  expect((await backend('a')).state).toBe('up');

  let isOpen = false;
  const drained = follow(
    '/v1/stream',
    (name, data) =>
      name === 'event' && shapes.eventsShape.shape.events.element.parse(data).event === 'backend-operated',
    undefined,
    () => {
      isOpen = true;
    },
  );
  await eventually('the stream to be open', () => isOpen);
  await admin(pinion, 'POST', '/v1/backends/pool/a/drain');
  const told = await drained;
  expect(shapes.statusShape.parse(told[0]!.data).access).toBe('read');
  expect(told.at(-1)!.data).toMatchObject({ pool: 'pool', backend: 'a', level: 'info' });
  expect(await backend('a')).toMatchObject({
    state: 'draining',
    expectedShare: 0,
    operator: { state: 'drain' },
  });

  // Who comes again goes on where it was.
  await admin(pinion, 'POST', '/v1/backends/pool/a/undrain');
  const later = await follow('/v1/stream', (name) => name === 'event', told.at(-1)!.id);
  expect(later.map(({ name }) => name)).toEqual(['state', 'event']);
  expect(later[1]!.data).toMatchObject({
    event: 'backend-operated',
    message: expect.stringMatching(/takes new clients/),
  });
  const page = await ask(shapes.eventsShape, 'GET', `/v1/events?since=${told.at(-1)!.id}`);
  expect(page).toMatchObject({ isGap: false, events: [later[1]!.data] });

  expect((await admin(pinion, 'DELETE', '/v1/flows?backend=a&dry_run')).body).toEqual({
    dryRun: true,
    connections: 2,
  });
  expect((await admin(pinion, 'DELETE', '/v1/flows?backend=a')).body).toMatchObject({ connections: 2 });
  await eventually('the flows to have ended', async () => (await backend('a')).flows === 0);

  const reload = await ask(shapes.reloadPreviewShape, 'POST', '/v1/reload?dry_run');
  expect(reload).toMatchObject({ errors: [], changes: [], text: 'Nothing changes.' });
  for (const { socket } of clients) socket.destroy();
});

test('what is asked wrongly is refused with a reason', async () => {
  const asked = [
    ['GET', '/v1/flows?limit=0', 400],
    ['GET', '/v1/flows?client=nobody', 400],
    ['GET', '/v1/events?since=what', 400],
    ['GET', '/v1/stream?since=what', 400],
    ['GET', '/v1/pools?pool=other', 404],
    ['POST', '/v1/backends/pool/other/drain?dry_run', 404],
    ['POST', '/v1/backends/pool/a/drain?dryrun=true', 400],
    ['POST', '/v1/backends/pool/a/weight?to=900', 400],
    ['DELETE', '/v1/flows', 400],
    ['DELETE', '/v1/flows?dry_run', 400],
    ['DELETE', '/v1/flows?pool=other&dry_run', 404],
    ['POST', '/reload?dry_run', 400],
    ['POST', '/v1/status', 405],
  ] as const;
  for (const [method, path, status] of asked) {
    const answer = await admin(pinion, method, path);
    expect({ path, ...answer }).toEqual({ path, status, body: { error: expect.any(String) } });
  }
});
