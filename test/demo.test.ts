/** `npm start` as a newcomer meets it: the real balancer, six sample servers, and one of them stopped. */
import { createSocket } from 'node:dgram';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { clientAddresses, inParallel, tcpClient, tryUdp } from './support/clients.ts';
import { eventually } from './support/eventually.ts';
import { pinionMain } from './support/pinion.ts';
import { isBound } from './support/ports.ts';
import { type RunningProcess, startProcess, stopEverything } from './support/processes.ts';
import { processTree } from './support/procfs.ts';

const port = 9000;
const tcpPorts = [port, 9464, 9465, 9101, 9102, 9103];
const udpPorts = [port, 9201, 9202, 9203];

let demo: RunningProcess;

const boundPorts = (): string[] => [
  ...tcpPorts.filter((one) => isBound('tcp', one)).map((one) => `tcp ${one}`),
  ...udpPorts.filter((one) => isBound('udp', one)).map((one) => `udp ${one}`),
];

beforeEach(async () => {
  const busy = boundPorts();
  if (busy.length > 0)
    throw new Error(`the demo needs ports that somebody else has bound: ${busy.join(', ')}`);
  demo = startProcess({ name: 'demo', command: process.execPath, args: [pinionMain(), 'demo'] });
  await demo.waitForOutput(/Try, in another terminal:[\s\S]*metrics page/);
});

afterEach(async () => {
  await stopEverything();
  // The samples go when they notice that the demo has gone.
  await eventually('no sample server left', () => boundPorts().length === 0);
});

/** The name in the greeting, and the same name again in the answer to a line. */
async function talk(from: string): Promise<string> {
  const client = await tcpClient(port, { from });
  const greeting = await client.line();
  const name = /^hello, this is (\w+)$/.exec(greeting)?.[1] ?? `unexpected: ${greeting}`;
  client.socket.write('hi\n');
  await eventually('an answer', () => client.text === `${greeting}\n${name}: hi\n`);
  client.socket.destroy();
  return name;
}

async function talkUdp(from: string): Promise<string> {
  const answer = await eventually('an answer over UDP', () => tryUdp(port, from, 'hi', 500));
  expect(answer).toMatch(/^\w+: hi$/);
  return answer.slice(0, answer.indexOf(':'));
}

/** Kills a sample with the pid the demo printed for it. */
function kill(sample: string): void {
  const pid = Number(new RegExp(`${sample} +(?:tcp|udp) \\S+ +pid (\\d+)`).exec(demo.output())?.[1]);
  expect(processTree(demo.pid), 'a process of this demo').toContain(pid);
  process.kill(pid, 'SIGTERM');
}

test('the demo balances, keeps clients, moves those of a stopped server, and leaves nothing behind', async () => {
  const clients = clientAddresses(30);
  const first = await inParallel(clients, talk, 8);
  expect(new Set(first)).toEqual(new Set(['ash', 'oak', 'elm']));
  expect(await inParallel(clients, talk, 8)).toEqual(first);
  const firstUdp = await inParallel(clients, talkUdp, 8);
  expect(new Set(firstUdp)).toEqual(new Set(['ash', 'oak', 'elm']));
  expect(await inParallel(clients, talkUdp, 8)).toEqual(firstUdp);

  kill('trees/oak');
  await demo.waitForOutput(/trees\/oak is down/);
  const moved = await inParallel(clients, talk, 8);
  expect(moved.filter((name, i) => (first[i] === 'oak' ? name === 'oak' : name !== first[i]))).toEqual([]);
  expect(await inParallel(clients, talk, 8), 'who moved stays').toEqual(moved);

  kill('echoes/elm');
  const movedUdp = await inParallel(clients, talkUdp, 8);
  expect(
    movedUdp.filter((name, i) => (firstUdp[i] === 'elm' ? name === 'elm' : name !== firstUdp[i])),
  ).toEqual([]);
  await expect
    .poll(() => demo.output())
    .toMatch(/tcp 127\.100\.0\.\d+:\d+ -> (ash|oak|elm) by (policy|pin): 3 B in, \d+ B out/);

  const samples = processTree(demo.pid).filter((pid) => pid !== demo.pid);
  expect(samples.length).toBe(4);
  expect(await demo.stop('SIGTERM')).toEqual({ code: 0, signal: null });
  await eventually('no sample server left', () => boundPorts().length === 0);
});

test('who comes is told of at once, and not when the flow has ended', async () => {
  await talkUdp('127.100.1.1');
  // The other line about this client comes after 30 s of silence.
  await demo.waitForOutput(/udp 127\.100\.1\.1:\d+ -> (ash|oak|elm) by policy: connected/, 10_000);
});

test('a second demo says that there is one already', async () => {
  const second = startProcess({ name: 'demo', command: process.execPath, args: [pinionMain(), 'demo'] });
  expect(await second.exited).toEqual({ code: 1, signal: null });
  expect(second.output()).toMatch(/sample backend ash: cannot bind 127\.0\.0\.1:9101: EADDRINUSE/);
  expect(second.output()).toMatch(/is it already running\? To use other ports: pinion demo --port 9500/);
  expect(await talk('127.100.1.2'), 'the first one goes on').toMatch(/^(ash|oak|elm)$/);
});

test('the samples of a demo that is killed leave quietly', async () => {
  await demo.stop('SIGKILL');
  await eventually('no sample server left', () => boundPorts().length === 0);
  const early = startProcess({ name: 'demo', command: process.execPath, args: [pinionMain(), 'demo'] });
  await eventually('samples starting', () => processTree(early.pid).length > 1);
  await early.stop('SIGKILL');
  await eventually('no sample server left', () => boundPorts().length === 0);
  expect(early.output()).not.toMatch(/EPIPE|\n\s+at /);
});

test('a port that is taken is named, and the samples go again', async () => {
  await demo.stop('SIGTERM');
  await eventually('all gone', () => !isBound('udp', port) && !isBound('tcp', 9101));
  const squatter = createSocket('udp4');
  await new Promise<void>((resolve) => squatter.bind(port, '127.0.0.1', resolve));
  try {
    const second = startProcess({ name: 'demo', command: process.execPath, args: [pinionMain(), 'demo'] });
    expect(await second.exited).toEqual({ code: 1, signal: null });
    expect(second.output()).toMatch(
      /pinion: listener echo: cannot bind udp:\/\/127\.0\.0\.1:9000: EADDRINUSE/,
    );
    await eventually('no sample server left', () => !isBound('tcp', 9101) && !isBound('udp', 9201));
  } finally {
    squatter.close();
  }
});
