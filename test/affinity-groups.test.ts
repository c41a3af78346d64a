/**
 * Pins of something better than an address, and shared by listeners: who is pinned by one of a group finds the backend of the same
 * name by the others, over TCP and UDP, on both instances of a pair, and after a reload. Policies take turns, so that nobody
 * gets there without the pin.
 */
import { afterEach, expect, test } from 'vitest';
import { askTcp, askUdp, clientAddresses, tcpClient, tryUdp } from './support/clients.ts';
import { pinionCommand } from './support/command.ts';
import { admin, backendsOf, configText, listener, noCheck, reload } from './support/config.ts';
import { eventually } from './support/eventually.ts';
import { type Pinion, startPinion } from './support/pinion.ts';
import { stopEverything } from './support/processes.ts';
import { type Redis, startRedis } from './support/redis.ts';
import { namedTcp, namedUdp, stopServers, type TestServer } from './support/servers.ts';

afterEach(async () => {
  await stopEverything();
  await stopServers();
});

const names = ['a', 'b', 'c'];
const token = { key: { payload: { offset: 1, length: 8 } }, group: 'tokens' };

function config(
  engine: string,
  redis: Redis,
  instance: string,
  tcp: TestServer[],
  udp: TestServer[],
): string {
  const pool = (servers: TestServer[]) => ({
    policy: 'round-robin',
    health: noCheck,
    backends: backendsOf(servers),
  });
  return configText({
    engine,
    workers: 1,
    cluster: { name: 'world', instance, redis: redis.url },
    listeners: [
      listener('login', 'tcp', 'login', { affinity: { group: 'world' } }),
      listener('game', 'udp', 'game', { affinity: { group: 'world' } }),
      listener('chat', 'tcp', 'chat', { affinity: token }),
      listener('voice', 'udp', 'voice', { affinity: token }),
    ],
    pools: { login: pool(tcp), game: pool(udp), chat: pool(tcp), voice: pool(udp) },
  });
}

/** Says something first; the server greets with its name and says it again. */
async function chat(pinion: Pinion, from: string, words: string): Promise<string> {
  const client = await tcpClient(pinion.port('chat'), { from });
  client.socket.write(words);
  const name = await client.line();
  await eventually('its words came there', () => client.text === `${name}\n${words}`);
  await client.leave();
  return name;
}

async function voice(pinion: Pinion, from: string, words: string): Promise<string> {
  const answer = await tryUdp(pinion.port('voice'), from, words);
  expect(answer?.slice(2)).toBe(words);
  return answer!.slice(0, 1);
}

async function knows(pinion: Pinion, client: string, backend: string): Promise<void> {
  await eventually(`${client} pinned to ${backend}`, async () => {
    const { body } = await admin(pinion, 'GET', `/pins?${new URLSearchParams({ client })}`);
    return (body as { pins: { backend: string }[] }).pins.some((pin) => pin.backend === backend);
  });
}

test.each(['epoll', 'portable'])('engine %s', async (engine) => {
  const redis = await startRedis();
  const tcp = await namedTcp(names);
  const udp = await namedUdp(names);
  const [one, two] = await Promise.all(
    ['one', 'two'].map((instance) => startPinion(config(engine, redis, instance, tcp, udp))),
  );
  const clients = clientAddresses(6);
  const homes = new Map<string, string>();
  for (const client of clients) homes.set(client, await askTcp(one!.port('login'), client));
  expect(new Set(homes.values()).size).toBe(3);

  for (const [client, home] of homes) {
    expect(await askUdp(one!.port('game'), client)).toBe(home);
    await knows(two!, client, home);
    expect(await askUdp(two!.port('game'), client)).toBe(home);
    expect(await askTcp(two!.port('login'), client)).toBe(home);
  }
  expect(await redis.command('--scan', '--pattern', '*:pin:@world/1/*')).toContain(clients[0]);

  // A token is the same client, wherever it comes from; who says less is recognised by its address.
  const [here, there, third] = clients as [string, string, string];
  const home = await chat(one!, here, '!secr%/12 and more');
  for (const from of [there, third]) expect(await voice(one!, from, '?secr%/12')).toBe(home);
  await knows(two!, 'payload=secr%25/12', home);
  expect(await chat(two!, there, '!secr%/12')).toBe(home);
  expect(await redis.command('--scan', '--pattern', '*:pin:@tokens/*')).toMatch(
    /:pin:@tokens\/5\/secr%25%2f12$/,
  );
  const short = await voice(one!, here, '?short');
  expect(await voice(one!, here, '?less')).toBe(short);

  // Pins of any kind are explained, and moved by hand.
  const other = names.find((name) => name !== home)!;
  const say = async (...words: string[]) => {
    const { status, stdout } = await pinionCommand([...words, '--admin', `127.0.0.1:${two!.port('admin')}`]);
    return { status, stdout };
  };
  const explained = await say('explain', '-l', 'voice', '--client', 'payload=secr%25/12');
  expect(explained.stdout).toMatch(/^key +payload secr%25%2f12$/m);
  expect(explained.stdout).toMatch(/^group +tokens$/m);
  expect(explained.stdout).toMatch(new RegExp(`^why +pinned to ${home}$`, 'm'));
  const fallback = await say('explain', '-l', 'voice', '--client', here);
  expect(fallback.stdout).toMatch(
    new RegExp(`^key +client-ip ${here} \\(no payload: recognised by its address\\)$`, 'm'),
  );
  expect(await say('pins', 'set', 'chat', 'payload=secr%25/12', other)).toMatchObject({ status: 0 });
  expect(await voice(two!, third, '?secr%/12')).toBe(other);
  await knows(one!, 'payload=secr%25/12', other);
  expect(await chat(one!, here, '!secr%/12')).toBe(other);

  // Another backend in all pools, and one that a pool has lost: those who are elsewhere stay, and the group's pin as well.
  const moreTcp = [...tcp, ...(await namedTcp(['d']))];
  const lessUdp = udp.filter(({ name }) => name !== 'a');
  await reload(one!, config(engine, redis, 'one', moreTcp, lessUdp));
  for (const [client, place] of homes) {
    expect(await askTcp(one!.port('login'), client)).toBe(place);
    if (place !== 'a') expect(await askUdp(one!.port('game'), client)).toBe(place);
    else expect(await askUdp(one!.port('game'), client)).not.toBe('a');
    expect(await askTcp(one!.port('login'), client)).toBe(place);
  }
});
