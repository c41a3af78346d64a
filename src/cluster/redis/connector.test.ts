import type { LookupAddress } from 'node:dns';
import { lookup } from 'node:dns/promises';
import { once } from 'node:events';
import { type AddressInfo, createServer } from 'node:net';
import { afterEach, expect, test, vi } from 'vitest';
import { Connector } from './connector.ts';
import { ReplyBudget } from './reply-guard.ts';

vi.mock('node:dns/promises');
afterEach(() => vi.resetAllMocks());

function connector(host: string, port: number, connectMsMax: number): Connector {
  return new Connector({
    secrets: () => undefined,
    find: () => ({ host, port }),
    connectMsMax,
    answerMsMax: 1_000,
    budget: new ReplyBudget(1_000),
    failed: () => {},
  });
}

test('a name whose name server is silent is asked for once, however often it is connected to', async () => {
  let answer: (addresses: LookupAddress[]) => void = () => {};
  vi.mocked(lookup).mockImplementation(
    (() =>
      new Promise((resolve) => {
        answer = resolve;
      })) as unknown as typeof lookup,
  );
  const both = [connector('silent.test', 1, 20), connector('silent.test', 1, 20)];
  for (let times = 0; times < 3; times++) {
    for (const one of both) {
      const socket = await one.connect();
      await new Promise((resolve) => socket.on('error', () => {}).on('close', resolve));
      expect(one.firstError?.message).toMatch(/^silent\.test:1 did not accept the connection/);
    }
  }
  expect(vi.mocked(lookup)).toHaveBeenCalledTimes(1);
  answer([{ address: '127.0.0.1', family: 4 }]);
});

test('a name leads to whichever of its addresses takes the connection; one that is not there is an error', async () => {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  const addresses = ['127.1.1.1', '127.0.0.1'].map((address) => ({ address, family: 4 }));
  vi.mocked(lookup).mockResolvedValue(addresses as never);
  const socket = await connector('db.test', port, 5_000).connect();
  await once(socket, 'connect');
  expect(socket.remoteAddress).toBe('127.0.0.1');
  socket.destroy();
  server.close();
  vi.mocked(lookup).mockRejectedValue(Object.assign(new Error('no such name'), { code: 'ENOTFOUND' }));
  const failing = connector('db.test', port, 5_000);
  const [error] = await once(await failing.connect(), 'error').catch((thrown: unknown) => [thrown]);
  expect(error).toMatchObject({ code: 'ENOTFOUND' });
});
