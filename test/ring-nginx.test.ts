/**
 * The ring against the nginx that is installed: a stream upstream with `hash $remote_addr consistent` and this
 * project's ring must send every client to the same server, or moving from one to the other moves clients.
 * Clients are real connections from 127.0.0.0/8, and for addresses a test cannot have, PROXY protocol headers.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import net from 'node:net';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { Address } from '../src/core/address.ts';
import { Key } from '../src/core/key.ts';
import { createPolicy } from '../src/core/policy/create.ts';
import type { Policy, PolicyBackend } from '../src/core/policy/policy.ts';

const weights = [1, 2, 3, 1, 5];
/** In nginx's second upstream this one is down, so its clients show the second choice. */
const downPosition = 4;
const connectionsMax = 64;
const listenIp = '127.0.0.9';

let directory: string;
let nginx: ChildProcess | undefined;
let tcpPort: number;
let ring: Policy;
const servers: net.Server[] = [];

beforeAll(async () => {
  const binary = ['/usr/sbin/nginx', '/usr/bin/nginx', '/usr/local/sbin/nginx'].find((file) =>
    existsSync(file),
  );
  if (binary === undefined)
    throw new Error('this test needs nginx with its stream module (Debian: libnginx-mod-stream)');
  directory = await mkdtemp(path.join(tmpdir(), 'ring-nginx-'));
  const backends = await startBackends();
  ring = createPolicy(
    {
      plan: {
        policy: 'ring',
        bound: undefined,
        tableSize: 65_537,
        identity: 'address',
        spillBelow: 0.7,
        slowStartMs: 0,
      },
      backends,
    },
    () => 0,
  );
  tcpPort = await freePort(listenIp);
  const file = path.join(directory, 'nginx.conf');
  await writeFile(file, nginxConfig(backends));
  nginx = spawn(binary, ['-e', 'stderr', '-p', directory, '-c', file], {
    stdio: ['ignore', 'ignore', 'pipe'],
  });
  await untilServing(nginx);
});

afterAll(async () => {
  if (nginx?.exitCode === null && nginx.signalCode === null) {
    const running = nginx;
    const exited = new Promise((resolve) => running.once('exit', resolve));
    running.kill('SIGTERM');
    await exited;
  }
  for (const server of servers) server.close();
  if (directory !== undefined) await rm(directory, { recursive: true });
});

describe('the ring and nginx', () => {
  it('send 10,000 IPv4 clients to the same servers', async () => {
    const clients = distinct(
      10_000,
      (random) => `127.${1 + (random() % 254)}.${random() % 256}.${1 + (random() % 254)}`,
    );
    const answers = await askAll(clients, (client) =>
      ask({ host: listenIp, port: tcpPort, localAddress: client }, ''),
    );
    expect(answers).toEqual(clients.map((client) => choices(client)[0]));
    expect(new Set(answers).size).toBe(weights.length);
  });

  it('send 1,000 IPv6 clients to the same servers', async () => {
    // Groups are often 0, so that the runs RFC 5952 shortens are of every length and place.
    const group = (random: () => number): string =>
      random() % 3 === 0 ? (random() % 65_536).toString(16) : '0';
    const clients = distinct(1_000, (random) => {
      const groups = Array.from({ length: 7 }, () => group(random));
      return `2001:${groups.join(':')}`;
    });
    clients.push('::1', 'fe80::1', '64:ff9b::c000:201', '::2:3:4:5:6:7');
    const answers = await askAll(clients, (client) => askByProxy('first.sock', 'TCP6', client, '::1'));
    expect(answers).toEqual(clients.map((client) => choices(client)[0]));
  });

  it('agree on the second choice when a server is down', async () => {
    const clients = distinct(
      1_000,
      (random) => `${1 + (random() % 223)}.${random() % 256}.${random() % 256}.${random() % 256}`,
    );
    const answers = await askAll(clients, (client) => askByProxy('second.sock', 'TCP4', client, '127.0.0.1'));
    const expected = clients.map((client) => choices(client).find((name) => name !== `s${downPosition}`));
    expect(answers).toEqual(expected);
    expect(clients.some((client) => choices(client)[0] === `s${downPosition}`)).toBe(true);
  });
});

/** The names of all servers in the ring's order for a client. */
function choices(client: string): string[] {
  const address = Address.parse(client, 0);
  if (address === undefined) throw new Error(`not an address: ${client}`);
  const loads = { active: () => 0, weight: (position: number) => weights[position]!, ready: () => 1 };
  ring.start(new Key('client-ip', address), loads);
  const names: string[] = [];
  for (let position = ring.next(); position >= 0; position = ring.next()) names.push(`s${position}`);
  return names;
}

/** TCP servers that say their name and close. */
async function startBackends(): Promise<PolicyBackend[]> {
  const backends: PolicyBackend[] = [];
  for (const [i, weight] of weights.entries()) {
    const server = net.createServer((socket) => {
      socket.on('error', () => {});
      socket.end(`s${i}`);
    });
    servers.push(server);
    // Ascending addresses: where two points collide nginx keeps the server listed first, the ring the lesser text.
    const ip = `127.0.1.${i + 1}`;
    const port = await listenOn(server, ip);
    backends.push({ id: i + 1, name: `s${i}`, addressText: `${ip}:${port}`, weight });
  }
  return backends;
}

function listenOn(server: net.Server, ip: string): Promise<number> {
  return new Promise((resolve, reject) => {
    server.once('error', reject);
    server.listen(0, ip, () => resolve((server.address() as net.AddressInfo).port));
  });
}

async function freePort(ip: string): Promise<number> {
  const server = net.createServer();
  const port = await listenOn(server, ip);
  await new Promise((resolve) => server.close(resolve));
  return port;
}

function nginxConfig(backends: readonly PolicyBackend[]): string {
  const moduleFile = '/usr/lib/nginx/modules/ngx_stream_module.so';
  const lines = (down: number): string =>
    backends
      .map(
        ({ addressText, weight }, i) =>
          `server ${addressText} weight=${weight} max_fails=0${i === down ? ' down' : ''};`,
      )
      .join('\n    ');
  return `
${existsSync(moduleFile) ? `load_module ${moduleFile};` : ''}
${process.getuid?.() === 0 ? 'user root;' : ''}
daemon off;
master_process off;
pid ${directory}/nginx.pid;
error_log stderr warn;
events { worker_connections 1024; }
stream {
  access_log off;
  set_real_ip_from unix:;
  upstream first {
    hash $remote_addr consistent;
    ${lines(-1)}
  }
  upstream second {
    hash $remote_addr consistent;
    ${lines(downPosition)}
  }
  server { listen ${listenIp}:${tcpPort} backlog=1024; proxy_pass first; }
  server { listen unix:${directory}/first.sock proxy_protocol backlog=1024; proxy_pass first; }
  server { listen unix:${directory}/second.sock proxy_protocol backlog=1024; proxy_pass second; }
}
`;
}

/** Waits until nginx serves; rejects with what it printed if it ends instead. */
async function untilServing(child: ChildProcess): Promise<void> {
  let printed = '';
  child.stderr!.on('data', (data) => {
    printed += data;
  });
  let failure: Error | undefined;
  child.on('error', (error) => {
    failure = error;
  });
  for (;;) {
    if (failure !== undefined) throw failure;
    if (child.exitCode !== null || child.signalCode !== null)
      throw new Error(`nginx did not start:\n${printed}`);
    try {
      await ask({ host: listenIp, port: tcpPort }, '');
      return;
    } catch {
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
  }
}

function askByProxy(socket: string, family: string, client: string, destination: string): Promise<string> {
  return ask(
    { path: path.join(directory, socket) },
    `PROXY ${family} ${client} ${destination} 1000 2000\r\n`,
  );
}

/** One connection: sends `header`, resolves with the name that comes back. */
function ask(to: net.NetConnectOpts, header: string): Promise<string> {
  return new Promise((resolve, reject) => {
    const socket = net.connect(to);
    let answer = '';
    socket.on('error', reject);
    socket.on('data', (data) => {
      answer += data;
    });
    socket.on('close', () => {
      if (/^s\d$/.test(answer)) resolve(answer);
      else reject(new Error(`an answer without a name: ${JSON.stringify(answer)}`));
    });
    if (header !== '') socket.write(header);
  });
}

/** Asks for every client, a bounded number at once; answers in the order of `clients`. */
async function askAll(
  clients: readonly string[],
  askOne: (client: string) => Promise<string>,
): Promise<string[]> {
  const answers = new Array<string>(clients.length);
  let asked = 0;
  const worker = async (): Promise<void> => {
    while (asked < clients.length) {
      const i = asked++;
      answers[i] = await askOne(clients[i]!);
    }
  };
  await Promise.all(Array.from({ length: connectionsMax }, worker));
  return answers;
}

/** `count` distinct texts from a random source that says the same in every run (an LCG of Knuth's MMIX). */
function distinct(count: number, make: (random: () => number) => string): string[] {
  let state = 1n;
  const random = (): number => {
    state = (state * 6364136223846793005n + 1442695040888963407n) & 0xffff_ffff_ffff_ffffn;
    return Number(state >> 33n);
  };
  const texts = new Set<string>();
  while (texts.size < count) texts.add(make(random));
  return [...texts];
}
