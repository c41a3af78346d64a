/**
 * Many clients on a host of their own: `node pair-clients.js OPTIONS`, options as JSON (ClientsOptions), controlled
 * through HTTP on a unix socket. Each client has an address of its own and asks, without end, who serves it: TCP over
 * one connection that is opened again when it breaks or falls silent, UDP from one fixed port. The first answer says
 * where the client belongs; every later answer of somebody else is kept as wrong.
 *
 *     POST /mark            from here on: longest silence, connections
 *     POST /round           from here on: who was answered
 *     POST /leave?name=b1   b1's clients may settle elsewhere, once
 *     POST /cross           every client asks once through the *other* virtual address, as a new flow
 *     GET  /report          Report
 */
import { createSocket, type Socket as UdpSocket } from 'node:dgram';
import { createServer } from 'node:http';
import { connect, type Socket } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';

export interface ClientsOptions {
  readonly control: string;
  /** The virtual addresses; a client uses one of them, the next client the other. */
  readonly targets: readonly [string, string];
  readonly tcp: { readonly port: number; readonly count: number; readonly network: string };
  readonly udp: { readonly port: number; readonly count: number; readonly network: string };
  /** From one question of a client to its next. */
  readonly periodMs: number;
  /** TCP: a question without an answer for this long means that the connection is gone. Default: 2,000. */
  readonly answerTimeoutMs?: number;
  /** Both ports of the second virtual address are that much higher. */
  readonly secondPortOffset?: number;
}

export interface WrongAnswer {
  readonly client: string;
  readonly target: string;
  readonly belongsTo: string;
  readonly answeredBy: string;
}

export interface ProtocolReport {
  readonly clients: number;
  /** Clients that were answered in this round. */
  readonly answered: number;
  readonly wrong: number;
  readonly wrongExamples: readonly WrongAnswer[];
  /** How often a client settled elsewhere after /leave, all clients together. */
  readonly moved: number;
  readonly perBackend: Readonly<Record<string, number>>;
  /** TCP: connections opened since the mark. */
  readonly connections: number;
  /** The longest silence of each client since the mark, over the clients; a period is the least there can be. */
  readonly silenceMs: { readonly median: number; readonly p99: number; readonly max: number };
}

export interface Report {
  readonly tcp: ProtocolReport;
  readonly udp: ProtocolReport;
}

const retryMs = 200;
const udpSourcePort = 5_000;
const exampleCount = 10;

const options = JSON.parse(process.argv[2] ?? '{}') as ClientsOptions;
const answerTimeoutMs = options.answerTimeoutMs ?? 2_000;
const leaving = new Set<string>();

/** The port of a protocol at one of the virtual addresses. */
function portAt(target: string, port: number): number {
  return target === options.targets[0] ? port : port + (options.secondPortOffset ?? 0);
}

abstract class Client {
  readonly address: string;
  readonly target: string;
  readonly otherTarget: string;
  backend: string | undefined;
  nextAtMs: number;
  answeredAtMs = 0;
  silenceMs = 0;
  connections = 0;
  wrong: WrongAnswer[] = [];
  moves = 0;
  hasAnswered = false;

  constructor(address: string, index: number, nextAtMs: number) {
    this.address = address;
    this.target = options.targets[index % 2]!;
    this.otherTarget = options.targets[(index + 1) % 2]!;
    this.nextAtMs = nextAtMs;
  }

  /** Asks, and sets when to be called again. */
  abstract ask(nowMs: number): void;
  /** The answer to one question through the other virtual address; undefined when none came. */
  abstract askAcross(): Promise<string | undefined>;

  heard(name: string): void {
    const nowMs = performance.now();
    if (this.answeredAtMs > 0) this.silenceMs = Math.max(this.silenceMs, nowMs - this.answeredAtMs);
    this.answeredAtMs = nowMs;
    this.hasAnswered = true;
    this.judge(name, this.target);
  }

  judge(name: string, target: string): void {
    const { backend } = this;
    if (backend === name) return;
    if (backend === undefined || leaving.has(backend)) {
      if (backend !== undefined) this.moves++;
      this.backend = name;
      return;
    }
    this.wrong.push({ client: this.address, target, belongsTo: backend, answeredBy: name });
  }

  mark(): void {
    this.silenceMs = 0;
    this.connections = 0;
  }
}

class TcpClient extends Client {
  #socket: Socket | undefined;
  #isWaiting = false;

  ask(nowMs: number): void {
    if (this.#isWaiting) return this.#broken(); // No answer in time.
    this.#isWaiting = true;
    this.nextAtMs = nowMs + answerTimeoutMs;
    this.#socket ??= this.#open();
    this.#socket.write('who\n');
  }

  #open(): Socket {
    const socket = connect({
      host: this.target,
      port: portAt(this.target, options.tcp.port),
      localAddress: this.address,
    });
    const lost = (): void => {
      if (this.#socket === socket) this.#broken();
    };
    let text = '';
    socket.setNoDelay(true).setEncoding('latin1');
    socket.on('connect', () => this.connections++);
    socket.on('data', (more: string) => {
      text += more;
      if (!text.endsWith('\n') || this.#socket !== socket) return;
      for (const name of text.trim().split('\n')) this.heard(name);
      text = '';
      this.#isWaiting = false;
      this.nextAtMs = performance.now() + options.periodMs;
    });
    socket.on('error', lost).on('end', lost).on('close', lost);
    return socket;
  }

  #broken(): void {
    this.#socket?.destroy();
    this.#socket = undefined;
    this.#isWaiting = false;
    // Spread, as clients do that are well behaved.
    this.nextAtMs = performance.now() + retryMs * (0.5 + Math.random());
  }

  askAcross(): Promise<string | undefined> {
    const { otherTarget: host, address: localAddress } = this;
    const from = { host, port: portAt(host, options.tcp.port), localAddress };
    const socket = connect(from, () => socket.write('who\n'));
    return firstAnswer((done) => {
      socket.on('data', (bytes) => done(bytes.toString('latin1').trim())).on('error', () => done(undefined));
      return () => socket.destroy();
    });
  }
}

class UdpClient extends Client {
  #socket: UdpSocket | undefined;

  ask(nowMs: number): void {
    this.nextAtMs = nowMs + options.periodMs;
    if (this.#socket === undefined) {
      const socket = createSocket('udp4');
      this.#socket = socket;
      socket.on('message', (message) => this.heard(nameIn(message)));
      socket.on('error', (error) => {
        process.stderr.write(`${this.address}: ${error.message}\n`);
      });
      socket.bind(udpSourcePort, this.address, () => this.#send());
    } else this.#send();
  }

  #send(): void {
    this.#socket?.send('who', portAt(this.target, options.udp.port), this.target, () => {});
  }

  askAcross(): Promise<string | undefined> {
    const socket = createSocket('udp4');
    return firstAnswer((done) => {
      socket.on('message', (message) => done(nameIn(message))).on('error', () => done(undefined));
      const ask = (): void =>
        socket.send('who', portAt(this.otherTarget, options.udp.port), this.otherTarget);
      socket.bind(0, this.address, ask);
      // A datagram may be lost.
      const again = setInterval(ask, 1_000);
      return () => {
        clearInterval(again);
        socket.close();
      };
    });
  }
}

function nameIn(message: Buffer): string {
  const text = message.toString('latin1');
  return text.slice(0, text.indexOf(':'));
}

/** `begin` gets what ends the wait and returns what cleans up. */
function firstAnswer(
  begin: (done: (name: string | undefined) => void) => () => void,
): Promise<string | undefined> {
  return new Promise((resolve) => {
    const timer = setTimeout(() => finish(undefined), 5_000);
    const finish = (name: string | undefined): void => {
      clearTimeout(timer);
      cleanUp();
      resolve(name);
    };
    let isDone = false;
    const cleanUp = begin((name) => {
      if (!isDone) finish(name);
      isDone = true;
    });
  });
}

/** `10.77.16.0` and 300 is 10.77.17.44. */
function addressIn(network: string, index: number): string {
  const [a, b, c, d] = network.split('.').map(Number) as [number, number, number, number];
  const last = d + index;
  return `${a}.${b}.${c + (last >> 8)}.${last & 255}`;
}

function report(clients: readonly Client[]): ProtocolReport {
  const wrong = clients.flatMap((client) => client.wrong);
  const perBackend: Record<string, number> = {};
  for (const { backend = 'none' } of clients) perBackend[backend] = (perBackend[backend] ?? 0) + 1;
  const silences = clients.map((client) => Math.round(client.silenceMs)).sort((a, b) => a - b);
  const at = (share: number): number => silences[Math.floor((silences.length - 1) * share)] ?? 0;
  return {
    clients: clients.length,
    answered: clients.filter((client) => client.hasAnswered).length,
    wrong: wrong.length,
    wrongExamples: clients.flatMap((client) => client.wrong.slice(0, 1)).slice(0, exampleCount),
    moved: clients.reduce((sum, client) => sum + client.moves, 0),
    perBackend,
    connections: clients.reduce((sum, client) => sum + client.connections, 0),
    silenceMs: { median: at(0.5), p99: at(0.99), max: at(1) },
  };
}

/** Asks across, a bounded number at a time; how many got an answer. A wrong one counts as wrong. */
async function cross(clients: readonly Client[]): Promise<number> {
  let next = 0;
  let answered = 0;
  const worker = async (): Promise<void> => {
    for (let i = next++; i < clients.length; i = next++) {
      const client = clients[i]!;
      const name = await client.askAcross();
      if (name === undefined) continue;
      answered++;
      client.judge(name, client.otherTarget);
    }
  };
  await Promise.all(Array.from({ length: 64 }, worker));
  return answered;
}

const startMs = performance.now();
/** All at once would be a flood, and the first questions would measure nothing else. */
const firstAt = (index: number): number => startMs + index * 2;
const tcpClients = Array.from(
  { length: options.tcp.count },
  (_, i) => new TcpClient(addressIn(options.tcp.network, i + 1), i, firstAt(i)),
);
const udpClients = Array.from(
  { length: options.udp.count },
  (_, i) => new UdpClient(addressIn(options.udp.network, i + 1), i, firstAt(i)),
);
const everyone: readonly Client[] = [...tcpClients, ...udpClients];

async function answer(method: string, url: URL): Promise<unknown> {
  switch (`${method} ${url.pathname}`) {
    case 'POST /mark':
      for (const client of everyone) client.mark();
      return {};
    case 'POST /round':
      for (const client of everyone) client.hasAnswered = false;
      return {};
    case 'POST /leave':
      leaving.add(url.searchParams.get('name') ?? '');
      return {};
    case 'POST /cross':
      return { tcp: await cross(tcpClients), udp: await cross(udpClients) };
    case 'GET /report':
      return { tcp: report(tcpClients), udp: report(udpClients) } satisfies Report;
    default:
      return { error: 'no such page' };
  }
}

createServer((request, response) => {
  void answer(request.method ?? 'GET', new URL(request.url ?? '/', 'http://clients')).then((body) =>
    response.end(JSON.stringify(body)),
  );
}).listen(options.control, () => process.stdout.write('talking\n'));

for (;;) {
  const nowMs = performance.now();
  for (const client of everyone) if (client.nextAtMs <= nowMs) client.ask(nowMs);
  await sleep(10);
}
