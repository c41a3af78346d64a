/** HTTP servers through pinion under load: no error, no timeout, nothing lost. */
import { createServer, request, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { clientAddresses } from './support/clients.ts';
import { configText, listener, quickCheck } from './support/config.ts';
import { type Pinion, startPinion } from './support/pinion.ts';
import { runToEnd, stopEverything } from './support/processes.ts';

const servers: Server[] = [];
const served = [0, 0];
let pinion: Pinion;
let url: string;

afterAll(async () => {
  await stopEverything();
  for (const server of servers) server.close();
});

beforeAll(async () => {
  for (const i of served.keys()) {
    const server = createServer((_request, response) => {
      served[i]!++;
      response.end('x'.repeat(1_000));
    });
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    servers.push(server);
  }
  const backends = servers.map((server, i) => ({
    name: `web${i}`,
    address: `127.0.0.1:${(server.address() as AddressInfo).port}`,
  }));
  pinion = await startPinion(
    configText({
      // Each connection by itself, so that both servers work though all load comes from one address.
      listeners: [listener('web', 'tcp', 'web', { affinity: { key: 'flow' } })],
      pools: { web: { policy: 'round-robin', health: quickCheck, backends } },
    }),
  );
  url = `http://127.0.0.1:${pinion.port('web')}/`;
});

interface Load {
  readonly errors: number;
  readonly timeouts: number;
  readonly non2xx: number;
  readonly requests: { readonly total: number };
}

/** Runs autocannon's command line in a process of its own, so that it is not our event loop it measures. */
async function autocannon(...args: string[]): Promise<Load> {
  const command = fileURLToPath(new URL('../node_modules/autocannon/autocannon.js', import.meta.url));
  const output = await runToEnd({
    command: process.execPath,
    args: [command, '--json', '--no-progress', ...args, url],
  });
  return JSON.parse(output.slice(output.indexOf('{'), output.lastIndexOf('}') + 1)) as Load;
}

/** Requests served so far, once those of the load before have come to an end: it left in the middle of some. */
async function settled(): Promise<number> {
  for (let last = -1; ; ) {
    const now = served[0]! + served[1]!;
    if (now === last) return now;
    last = now;
    await new Promise((resolve) => setTimeout(resolve, 250));
  }
}

describe('HTTP through pinion', () => {
  test('autocannon has no error over kept connections', async () => {
    const load = await autocannon('--connections=64', '--duration=5');
    expect(load).toMatchObject({ errors: 0, timeouts: 0, non2xx: 0 });
    expect(load.requests.total).toBeGreaterThan(1_000);
    expect(Math.min(...served)).toBeGreaterThan(100);
  });

  test('autocannon has no error with pipelining', async () => {
    const before = await settled();
    const load = await autocannon('--connections=16', '--pipelining=10', '--amount=20000');
    expect(load).toMatchObject({ errors: 0, timeouts: 0, non2xx: 0 });
    // autocannon leaves when it has counted enough, in the middle of what is still in its 16 x 10 pipelines.
    expect((await settled()) - before).toBeGreaterThanOrEqual(20_000 - 160);
  });

  test('fetches from many addresses, one connection each', async () => {
    const ask = (localAddress: string): Promise<number> =>
      new Promise((resolve, reject) => {
        request(url, { localAddress, agent: false, headers: { connection: 'close' } }, (response) => {
          let bytes = 0;
          response.on('data', (chunk: Buffer) => {
            bytes += chunk.length;
          });
          response.on('end', () => resolve(bytes));
        })
          .on('error', reject)
          .end();
      });
    const sizes = await Promise.all(clientAddresses(200).map(ask));
    expect(sizes.filter((size) => size !== 1_000)).toEqual([]);
  });
});
