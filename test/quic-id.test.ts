/**
 * `affinity.key: quic-id` with a real QUIC client and servers (ngtcp2), over a path that forgets the client's address: it goes on at
 * its server, by another address, and through the other instance after the first one was killed. Its server takes nobody new by
 * then, so that no policy brings it there.
 */
import { createSocket, type Socket } from 'node:dgram';
import { once } from 'node:events';
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { afterEach, expect, test } from 'vitest';
import { type Certificate, newCertificate } from './support/certificates.ts';
import { admin, configText, listener, noCheck } from './support/config.ts';
import { eventually } from './support/eventually.ts';
import { requireCommand } from './support/packages.ts';
import { type Pinion, startPinion } from './support/pinion.ts';
import { freePort, waitUntilBound } from './support/ports.ts';
import { runToEnd, startProcess, stopEverything } from './support/processes.ts';
import { startRedis } from './support/redis.ts';
import { temporaryFolder } from './support/temporary.ts';

const paths: Path[] = [];

afterEach(async () => {
  for (const path of paths.splice(0)) path.close();
  await stopEverything();
});

/** A NAT: what comes from the client leaves by a port of its own, another one after each move. */
class Path {
  readonly #inside: Socket = createSocket('udp4');
  #outside: Socket = createSocket('udp4');
  #port: number;
  #client = 0;
  #isCut = false;
  /** When something came by last. */
  #movedMs = 0;

  constructor(port: number) {
    paths.push(this);
    this.#port = port;
    this.#inside.on('message', (bytes, { port: client }) => {
      this.#client = client;
      this.#movedMs = performance.now();
      if (!this.#isCut) this.#outside.send(bytes, this.#port, '127.0.0.1');
    });
    this.#hear();
  }

  async open(): Promise<number> {
    this.#inside.bind(0, '127.0.0.1');
    await once(this.#inside, 'listening');
    return (this.#inside.address() as AddressInfo).port;
  }

  /** All has been said: a handshake that is not confirmed may not move (RFC 9000 section 9). */
  async quiet(): Promise<void> {
    await eventually('nothing is said', () => performance.now() - this.#movedMs > 1_000);
  }

  /** Loses what the client says, which says it again later. */
  cut(): void {
    this.#isCut = true;
  }

  move(port: number): void {
    this.#isCut = false;
    this.#outside.close();
    this.#outside = createSocket('udp4');
    this.#port = port;
    this.#hear();
  }

  close(): void {
    this.#inside.close();
    this.#outside.close();
  }

  #hear(): void {
    this.#outside.on('message', (bytes) => {
      this.#movedMs = performance.now();
      this.#inside.send(bytes, this.#client, '127.0.0.1');
    });
  }
}

/** Servers that say their name. @param retry clients have to show first that they are where they say (RFC 9000 section 8.1.2) */
async function quicServer(
  name: string,
  { certFile, keyFile }: Certificate,
  retry = false,
): Promise<{ name: string; address: string }> {
  const port = await freePort('udp');
  const folder = temporaryFolder('quic');
  writeFileSync(join(folder, 'who'), name);
  const options = ['-q', ...(retry ? ['-V'] : []), '-d', folder];
  const args = [...options, '127.0.0.1', String(port), keyFile, certFile];
  const command = requireCommand('quic', 'gtlsserver');
  await waitUntilBound('udp', port, startProcess({ name: `gtlsserver ${name}`, command, args }));
  return { name, address: `127.0.0.1:${port}` };
}

/** Begins with a version that no server has, and goes on with the one that it is told of (RFC 9000 section 6). */
const unknownVersion = ['-v', '0x0a1a2a3a', '--preferred-versions=v1', '--other-versions=0x0a1a2a3a,v1'];

/** So long a client waits after its handshake until it asks: time to see that it is known, and to cut it off, on a busy machine too. */
const askAfter = '12s';

async function askWho(port: number, more: readonly string[]): Promise<string> {
  const out = join(temporaryFolder('quic'), 'out');
  mkdirSync(out);
  const options = ['-q', `--download=${out}`, '--exit-on-all-streams-close', `--delay-stream=${askAfter}`];
  const args = [...options, ...more, '127.0.0.1', String(port), `https://localhost/who`];
  const said = await runToEnd({ command: requireCommand('quic', 'gtlsclient'), args, timeoutMs: 60_000 });
  const answer = join(out, 'who');
  return existsSync(answer) ? readFileSync(answer, 'latin1') : `no answer: ${said}`;
}

interface PinShown {
  readonly key: string;
  readonly client: string;
  readonly backend: string;
  readonly reason: string;
}

/** The pin by the id that its server chose, as this instance knows it. */
async function learnedPin(pinion: Pinion, pool: string): Promise<PinShown | undefined> {
  const { body } = await admin(pinion, 'GET', `/pins?pool=${pool}`);
  return (body as { pins: PinShown[] }).pins.find(({ reason }) => reason === 'learned');
}

async function explain(pinion: Pinion, listener: string, client: string): Promise<unknown> {
  const query = new URLSearchParams({ listener, client: `quic-id=${client}` });
  return (await admin(pinion, 'GET', `/explain?${query}`)).body;
}

async function order(pinion: Pinion, pool: string, backend: string, what: 'drain' | 'undrain') {
  const { status, body } = await admin(pinion, 'POST', `/pools/${pool}/backends/${backend}/${what}`);
  expect([status, body]).toEqual([200, expect.anything()]);
}

/** Has a client shake hands, and moves it to `port` of another instance, or of the same, as soon as `known` knows of it. */
async function moved(from: Pinion, known: Pinion, to: Pinion, pool: string, meanwhile: () => Promise<void>) {
  const path = new Path(from.port(pool));
  const answer = askWho(await path.open(), pool === 'negotiated' ? unknownVersion : []);
  const pin = await eventually(`its pin in pool ${pool}`, () => learnedPin(known, pool));
  await path.quiet();
  path.cut();
  await meanwhile();
  await order(to, pool, pin.backend, 'drain');
  const flows = async (): Promise<number> =>
    (await to.metric('pinion_listener_flows_total', { listener: pool })) ?? 0;
  const before = await flows();
  path.move(to.port(pool));
  return { pin, answer: await answer, flows: (await flows()) - before };
}

test.each(['epoll', 'portable'])(
  'a client goes on at its server, here and through the other instance (%s)',
  async (engine) => {
    const redis = await startRedis();
    const certificate = await newCertificate();
    const [plain, retry, other] = [
      await quicServer('plain', certificate),
      await quicServer('retry', certificate, true),
      await quicServer('other', certificate),
    ];
    const home = [plain, other];
    const pools = { here: home, negotiated: home, retried: [retry, other], routed: home };
    const affinity = { key: 'quic-id' };
    const config = (instance: string): string =>
      configText({
        engine,
        cluster: { name: 'quic', instance, redis: redis.url },
        listeners: Object.keys(pools).map((pool) =>
          // Who has said hello is led to the pool by that, and says none when it goes on.
          pool === 'routed'
            ? listener(pool, 'udp', 'nowhere', { affinity, routes: [{ quic: {}, pool }] })
            : listener(pool, 'udp', pool, { affinity }),
        ),
        pools: Object.fromEntries(
          Object.entries({ ...pools, nowhere: [other] }).map(([name, backends]) => [
            name,
            { health: noCheck, backends },
          ]),
        ),
      });
    const [one, two] = (await Promise.all(['one', 'two'].map((name) => startPinion(config(name))))) as [
      Pinion,
      Pinion,
    ];
    for (const pool of Object.keys(pools)) await order(one, pool, 'other', 'drain');
    const here = await moved(one, one, one, 'here', () => order(one, 'here', 'other', 'undrain'));
    expect(here).toMatchObject({ answer: 'plain', flows: 1 });
    expect(await explain(one, 'here', here.pin.client)).toMatchObject({
      key: `quic-id ${here.pin.client}`,
      backend: 'plain',
      by: 'pin',
    });
    const isGone = one.process.exited;
    const others = ['negotiated', 'retried', 'routed'];
    let waiting = others.length;
    const die = async (): Promise<void> => {
      if (--waiting === 0) one.process.signal('SIGKILL');
      await isGone;
    };
    const through = await Promise.all(others.map((pool) => moved(one, two, two, pool, die)));
    expect(through.map(({ answer }) => answer)).toEqual(['plain', 'retry', 'plain']);
    expect(through.map(({ flows }) => flows)).toEqual([1, 1, 1]);
  },
);
