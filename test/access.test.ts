/** Who may come in: lists in the configuration and in files that change, by each way to refuse, on both engines, over TCP and UDP. */
import { renameSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterEach, expect, test } from 'vitest';
import { silencedMax, silenceMs } from '../src/core/limits.ts';
import { askTcp, askUdp, tcpClient, tryUdp } from './support/clients.ts';
import { admin, backendsOf, configText, listener, noCheck, reload } from './support/config.ts';
import { startPinion } from './support/pinion.ts';
import { stopEverything } from './support/processes.ts';
import { namedTcp, namedUdp, stopServers } from './support/servers.ts';
import { temporaryFolder } from './support/temporary.ts';

afterEach(async () => {
  await stopEverything();
  await stopServers();
});

const [friend, stranger, third] = ['127.1.0.1', '127.2.0.1', '127.3.0.1'] as const;

/** How a connection that is refused ends. With a time it may not have ended by then: `open`. */
async function outcomeOf(port: number, from: string, withinMs?: number): Promise<string> {
  const client = await tcpClient(port, { from });
  const late = withinMs === undefined ? [] : [sleep(withinMs, 'open')];
  const outcome = await Promise.race([client.outcome, ...late]);
  expect(client.receivedBytes).toBe(0);
  client.socket.destroy();
  return outcome;
}

test.each(['epoll', 'portable'])('%s: lists, files that change, and refusals', async (engine) => {
  const folder = temporaryFolder('access');
  const path = join(folder, 'denied.txt');
  const write = (text: string): void => {
    writeFileSync(`${path}.new`, text);
    renameSync(`${path}.new`, path);
  };
  write(`# none of ours\n${stranger}\n`);
  const [tcp, udp] = [...(await namedTcp(['t'])), ...(await namedUdp(['u']))] as const;
  const textWith = (allow: readonly string[]): string =>
    configText({
      engine,
      workers: 1,
      listeners: [
        listener('front', 'tcp', 'tcp', { deny: [`file:${path}`] }),
        listener('polite', 'tcp', 'tcp', { allow, refuse: 'close' }),
        listener('silent', 'tcp', 'tcp', { allow, refuse: 'silence' }),
        listener('game', 'udp', 'udp', { allow: ['127.0.0.0/8'], deny: [`file:${path}`] }),
      ],
      pools: {
        tcp: { health: noCheck, backends: backendsOf([tcp!]) },
        udp: { health: noCheck, backends: backendsOf([udp!]) },
      },
    });
  const pinion = await startPinion(textWith([friend]));
  const port = (name: string): number => pinion.port(name);

  expect(await outcomeOf(port('front'), stranger)).toBe('ECONNRESET');
  expect(await outcomeOf(port('polite'), stranger)).toBe('end');
  expect(await outcomeOf(port('silent'), stranger, 700)).toBe('open');
  // Silence holds so many of them; the oldest goes for one more.
  const held = await Promise.all(
    Array.from({ length: silencedMax + 1 }, () => tcpClient(port('silent'), { from: stranger })),
  );
  const first = Promise.race(held.map(({ outcome }) => outcome));
  expect(await Promise.race([first, sleep(silenceMs / 2, 'open')])).toBe('ECONNRESET');
  expect(held.filter(({ socket }) => socket.destroyed)).toHaveLength(1);
  for (const { socket } of held) socket.destroy();
  expect(await tryUdp(port('game'), stranger, 'hello', 300)).toBeUndefined();
  for (const name of ['front', 'polite', 'silent']) expect(await askTcp(port(name), friend)).toBe('t');
  expect(await askUdp(port('game'), friend)).toBe('u');
  await expect
    .poll(() => pinion.metric('pinion_listener_ended_total', { code: 'denied' }))
    .toBe(4 + silencedMax + 1);
  await expect.poll(() => pinion.metric('pinion_access_list_entries', { file: path })).toBe(1);
  await pinion.waitForLog(({ event, code }) => event === 'clients-refused' && code === 'denied');

  const explained = async (name: string, client: string): Promise<unknown> =>
    (await admin(pinion, 'GET', `/explain?listener=${name}&client=${client}`)).body;
  expect(await explained('front', stranger)).toMatchObject({
    backend: null,
    why: `denied (deny: ${stranger} in ${path}:2): its connection is reset`,
  });
  expect(await explained('polite', friend)).toMatchObject({
    backend: 't',
    access: { isAllowed: true, why: `allow: ${friend}` },
  });

  // The file is another one: who is in and denied now has to leave, whoever was denied before may come.
  const [staying, leaving] = await Promise.all([
    tcpClient(port('front'), { from: friend }),
    tcpClient(port('front'), { from: third }),
  ]);
  expect(await Promise.all([staying.line(), leaving.line()])).toEqual(['t', 't']);
  expect(await askUdp(port('game'), third)).toBe('u');
  write(`${third}/32\n`);
  expect(await leaving.outcome).toBe('ECONNRESET');
  expect(await tryUdp(port('game'), third, 'hello', 300)).toBeUndefined();
  expect(await askTcp(port('front'), stranger)).toBe('t');
  const ended = () => pinion.events('flow').filter(({ code }) => code === 'denied');
  await expect
    .poll(() =>
      ended()
        .map(({ listener }) => listener)
        .sort(),
    )
    .toEqual(['front', 'game']);

  // One that is wrong changes nothing, and so does a reload meanwhile.
  write(`${friend}\n10.0.0.0/x\n`);
  const failed = await pinion.waitForLog(({ event }) => event === 'access-list-failed');
  expect(failed.message).toMatch(`${path}:2: "10.0.0.0/x" is neither`);
  await reload(pinion, textWith([third]));
  expect(await outcomeOf(port('front'), third)).toBe('ECONNRESET');
  expect(await askTcp(port('polite'), third)).toBe('t');
  expect(await outcomeOf(port('polite'), friend)).toBe('end');
  staying.socket.write('still here\n');
  await expect.poll(() => staying.text).toContain('still here');
  staying.socket.destroy();
});

test('a file that cannot be used refuses the start, and says where and why', async () => {
  const path = join(temporaryFolder('access'), 'allowed.txt');
  writeFileSync(path, '10.0.0.1\nlocalhost\n');
  const text = configText({
    listeners: [listener('front', 'tcp', 'p', { allow: [`file:${path}`] })],
    pools: { p: { backends: [{ name: 'a', address: '127.0.0.1:9' }] } },
  });
  await expect(startPinion(text)).rejects.toThrow(
    `listener front: allow: ${path}:2: "localhost" is neither an address nor a network`,
  );
});
