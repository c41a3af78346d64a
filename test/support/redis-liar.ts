/**
 * A server that speaks like Redis, a Sentinel or the nodes of a Redis Cluster, and now and then lies: the wrong reply, the right
 * one cut anywhere, one more than was asked for, a redirection to nowhere, a cut, silence. What it does is drawn from a
 * seed; where it meets the other side's timing it is not the same twice.
 */
import { once } from 'node:events';
import { type AddressInfo, createServer, type Server, type Socket } from 'node:net';
import {
  applyScript,
  beatScript,
  flowsScript,
  keysScript,
  pulseScript,
  readScript,
} from '../../src/cluster/scripts.ts';

export interface LiarOptions {
  readonly random: () => number;
  /** How many replies of a hundred are no honest ones. */
  readonly liesPercent: number;
  /** Ports of all nodes, this one too, as the table of slots names them. */
  readonly ports: () => readonly number[];
}

const bulk = (text: string): string => `$${Buffer.byteLength(text)}\r\n${text}\r\n`;
const list = (items: readonly string[]): string => `*${items.length}\r\n${items.join('')}`;
const texts = (items: readonly string[]): string => list(items.map(bulk));

const words = [
  '',
  'OK',
  'FENCED',
  'e',
  '0-0',
  '1-1',
  '99-9',
  '1 16',
  '127.0.0.1',
  'message',
  '\0',
  '-1',
  '0',
  '[]',
];

export class RedisLiar {
  /** Commands that were answered, in whatever way. */
  answered = 0;
  private readonly options: LiarOptions;
  private readonly server: Server;
  private readonly sockets = new Set<Socket>();
  private entries = 0;

  private constructor(options: LiarOptions, server: Server) {
    this.options = options;
    this.server = server;
  }

  static async start(options: LiarOptions): Promise<RedisLiar> {
    const server = createServer();
    const liar = new RedisLiar(options, server);
    server.on('connection', (socket) => liar.serve(socket));
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    return liar;
  }

  get port(): number {
    return (this.server.address() as AddressInfo).port;
  }

  /** Ends every connection and refuses new ones for a while, as one that is started again. */
  async restart(): Promise<void> {
    const { port } = this;
    await this.stop();
    this.server.listen(port, '127.0.0.1');
    await once(this.server, 'listening');
  }

  async stop(): Promise<void> {
    const closed = once(this.server, 'close');
    this.server.close();
    for (const socket of this.sockets) socket.destroy();
    await closed;
  }

  private int(below: number): number {
    return Math.floor(this.options.random() * below);
  }

  private one<T>(of: readonly T[]): T {
    return of[this.int(of.length)]!;
  }

  private serve(socket: Socket): void {
    this.sockets.add(socket);
    socket.on('error', () => {});
    socket.on('close', () => this.sockets.delete(socket));
    if (this.int(300) === 0) socket.write(this.anything());
    let rest = '';
    socket.on('data', (bytes) => {
      const [commands, left] = parseCommands(rest + bytes.toString('latin1'));
      rest = left;
      for (const command of commands) if (socket.writable) this.answer(socket, command);
    });
  }

  private answer(socket: Socket, command: readonly string[]): void {
    this.answered++;
    const honest = this.honest(command);
    if (this.int(100) >= this.options.liesPercent) {
      socket.write(honest, 'latin1');
      return;
    }
    switch (this.int(10)) {
      case 0:
        socket.destroy();
        return;
      case 1: // Half of it, and the end.
        socket.end(honest.slice(0, this.int(honest.length)), 'latin1');
        return;
      case 2: // Half of it, and silence: what comes later is the rest of nothing.
        socket.write(honest.slice(0, this.int(honest.length)), 'latin1');
        return;
      case 3: // Nobody asked for the second.
        socket.write(honest + this.anything(), 'latin1');
        return;
      case 4: // After whoever asked has given up.
        setTimeout(() => socket.writable && socket.write(honest, 'latin1'), this.int(600));
        return;
      case 5:
        socket.write(`-${this.redirection()}\r\n`, 'latin1');
        return;
      case 6: // One byte is another.
        socket.write(this.bent(honest), 'latin1');
        return;
      default:
        socket.write(this.anything(), 'latin1');
    }
  }

  private honest(command: readonly string[]): string {
    const [name = '', first = ''] = command.map((word) => word.toLowerCase());
    switch (name) {
      case 'evalsha':
      case 'eval':
        return this.script(first, command);
      case 'xread':
        return this.int(3) === 0 ? this.stream(command) : '*-1\r\n';
      case 'scan':
        return list([bulk('0'), texts(['{pinion:c:1}:pin:p/1/1.1.1.1'])]);
      case 'hscan':
        return list([bulk('0'), list([])]);
      case 'sentinel':
        if (first === 'sentinels') return list([]);
        return texts(['127.0.0.1', String(this.one(this.options.ports()))]);
      case 'cluster':
        return this.slots();
      case 'pexpire':
      case 'hset':
      case 'hdel':
      case 'del':
        return ':1\r\n';
      default:
        return '+OK\r\n';
    }
  }

  private script(sha: string, command: readonly string[]): string {
    const position = `${1 + this.entries}-0`;
    switch (sha) {
      case pulseScript.sha:
        return texts(['OK', 'e', position]);
      case applyScript.sha: {
        this.entries++;
        const pins = Number(command[2]) - 3;
        return texts(['OK', 'e', position, '1', ...new Array<string>(pins).fill('W')]);
      }
      case readScript.sha:
        return texts(['e', position, ...new Array<string>(Math.max(0, Number(command[2]) - 2)).fill('')]);
      case beatScript.sha:
        return texts(['1 16', '0', 'other', '{"v":1,"incarnation":"x"}', '[["p","b",1]]']);
      case keysScript.sha:
      case flowsScript.sha:
        return texts(['0', '0']);
      default:
        return '-NOSCRIPT No matching script.\r\n';
    }
  }

  private stream(command: readonly string[]): string {
    const key = command[command.indexOf('STREAMS') + 1] ?? '';
    const entry = list([bulk(`${++this.entries}-0`), texts(['l', '0-0', 'p', 'p/1/1.1.1.1\t0\t'])]);
    return list([list([bulk(key), list([entry])])]);
  }

  /** Some slots are served by nobody, and some by one who is not there. */
  private slots(): string {
    const ports = this.options.ports();
    const ranges: string[] = [];
    const step = Math.ceil(16_384 / ports.length);
    for (const [index, port] of ports.entries()) {
      const first = index * step;
      const last = Math.min(16_383, first + step - 1 - (this.int(10) === 0 ? this.int(step) : 0));
      const node = list([this.int(8) === 0 ? '$-1\r\n' : bulk('127.0.0.1'), `:${port}\r\n`, bulk('id')]);
      if (this.int(12) > 0) ranges.push(list([`:${first}\r\n`, `:${last}\r\n`, node]));
    }
    return list(ranges);
  }

  private redirection(): string {
    const port = this.one([...this.options.ports(), 1, 0, 99_999]);
    const kind = this.one(['MOVED', 'ASK']);
    return this.one([
      `${kind} ${this.int(16_384)} 127.0.0.1:${port}`,
      `${kind} ${this.int(16_384)} 127.0.0.1:${port}`,
      `${kind} ${this.int(16_384)} :${port}`,
      `${kind} 1 127.0.0.1:${1024 + this.int(60_000)}`,
      `${kind} __proto__ h:1`,
      `${kind} 1 /tmp/x:1`,
      `${kind} 1 :`,
      `${kind} x`,
      kind,
      ...['READONLY', 'LOADING', 'NOSCRIPT', 'CLUSTERDOWN', 'TRYAGAIN', 'NOAUTH', 'BUSY', ''],
    ]);
  }

  private bent(text: string): string {
    const at = this.int(text.length);
    return text.slice(0, at) + String.fromCharCode(this.int(256)) + text.slice(at + 1);
  }

  /** A reply of RESP2 or RESP3, or none. */
  private anything(depth = 0): string {
    const number = String(this.one([0, -1, 5, 1e15, this.port, 16_383]));
    switch (this.int(depth > 3 ? 9 : 13)) {
      case 0:
        return `+${this.one(words)}\r\n`;
      case 1:
        return `:${number}\r\n`;
      case 2:
        return '$-1\r\n';
      case 3:
        return '*-1\r\n';
      case 4:
        return bulk(this.one(words));
      case 5:
        return `-${this.redirection()}\r\n`;
      case 6:
        return this.one(['_\r\n', '#t\r\n', ',inf\r\n', '(12\r\n', '=5\r\ntxt:a\r\n', '!1\r\nx\r\n']);
      case 7:
        return bulk(number);
      case 8:
        return this.one([
          'HTTP/1.1 400 Bad\r\n\r\n',
          '$999999999\r\n',
          '*2147483647\r\n',
          '\0\0\0',
          '\r\n',
          '*1\r\n',
        ]);
      case 9:
        return this.slots();
      case 10:
        return `>${2}\r\n${this.anything(depth + 1)}${this.anything(depth + 1)}`;
      case 11:
        return `%1\r\n${this.anything(depth + 1)}${this.anything(depth + 1)}`;
      default:
        return list(Array.from({ length: this.int(5) }, () => this.anything(depth + 1)));
    }
  }
}

/** The commands in a text, whole, and what is left over. */
function parseCommands(text: string): [commands: string[][], rest: string] {
  const commands: string[][] = [];
  let at = 0;
  for (;;) {
    const from = at;
    const count = /^\*(\d+)\r\n/.exec(text.slice(at, at + 20));
    if (count === null) return [commands, text.slice(from)];
    at += count[0].length;
    const command: string[] = [];
    for (let i = 0; i < Number(count[1]); i++) {
      const length = /^\$(\d+)\r\n/.exec(text.slice(at, at + 20));
      const end = at + (length?.[0].length ?? 0) + Number(length?.[1]) + 2;
      if (length === null || end > text.length) return [commands, text.slice(from)];
      command.push(text.slice(at + length[0].length, end - 2));
      at = end;
    }
    commands.push(command);
  }
}
