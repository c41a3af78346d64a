/**
 * A process on a host of its own that connects, serves and says what it is told to: for stories that have to know which of two sides
 * speaks first. Each client may have its own source address.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import type { Namespaces } from './namespaces.ts';

export interface Talker {
  /** @returns what the server said first (`SERVER CLIENT`, addresses), or the code of an error */
  open(id: string, from: string, to: string, port: number, fromPort?: number): Promise<string>;
  /** Says something on an open connection. @returns the echo, or the code of an error */
  say(id: string, text: string): Promise<string>;
  /** @returns what comes next on an open connection, or the code of an error */
  hear(id: string): Promise<string>;
  /** A datagram from a port. @returns the answer (`SERVER CLIENT PORT`), or `silence` after 300 ms */
  ask(from: string, fromPort: number, to: string, port: number): Promise<string>;
  /** Echoes lines over TCP, and datagrams over UDP. */
  serve(ip: string, port: number): Promise<string>;
  /** Says something to all who are connected. */
  push(text: string): Promise<string>;
}

const children = new Set<ChildProcess>();

/** @param host where it runs */
export function startTalker(world: Namespaces, host: string): Talker {
  const [command, ...args] = world.wrapper(host);
  const child = spawn(command!, [...args, process.execPath, '-e', program], {
    stdio: ['ignore', 'inherit', 'inherit', 'ipc'],
  });
  children.add(child);
  const waiting = new Map<number, (answer: string) => void>();
  child.on('message', ([call, answer]: [number, string]) => {
    waiting.get(call)?.(answer);
    waiting.delete(call);
  });
  child.once('exit', () => {
    children.delete(child);
    for (const answer of waiting.values()) answer('gone');
  });
  let calls = 0;
  const call =
    (method: string) =>
    (...given: unknown[]): Promise<string> =>
      new Promise((resolve) => {
        waiting.set(++calls, resolve);
        child.send([calls, method, given]);
      });
  return {
    open: call('open'),
    say: call('say'),
    hear: call('hear'),
    ask: call('ask'),
    serve: call('serve'),
    push: call('push'),
  };
}

export function stopTalkers(): void {
  for (const child of children) child.kill('SIGKILL');
}

const program = `
const net = require('node:net'), dgram = require('node:dgram');
const open = new Map(), served = new Set(), waitMs = 4000;
const plain = (ip) => ip.replace('::ffff:', '');
function next(one) {
  return new Promise((resolve) => {
    const take = () => {
      const end = one.text.indexOf('\\n');
      if (end < 0 && one.fault === undefined) return false;
      clearTimeout(late);
      one.changed = () => {};
      if (end < 0) return resolve(one.fault), true;
      const line = one.text.slice(0, end);
      one.text = one.text.slice(end + 1);
      return resolve(line), true;
    };
    const late = setTimeout(() => { one.changed = () => {}; resolve('silence'); }, waitMs);
    one.changed = take;
    take();
  });
}
const methods = {
  open(id, from, to, port, fromPort) {
    const socket = net.connect({ host: to, port, localAddress: from, localPort: fromPort });
    const one = { socket, text: '', fault: undefined, changed() {} };
    open.set(id, one);
    socket.setEncoding('utf8').on('data', (data) => { one.text += data; one.changed(); });
    socket.on('error', ({ code }) => { one.fault = code; one.changed(); });
    socket.on('close', () => { one.fault ??= 'closed'; one.changed(); });
    return next(one);
  },
  say(id, text) {
    const one = open.get(id);
    one.socket.write(text + '\\n');
    return next(one);
  },
  hear: (id) => next(open.get(id)),
  ask: (from, fromPort, to, port) => new Promise((resolve) => {
    const socket = dgram.createSocket(net.isIPv6(from) ? 'udp6' : 'udp4');
    const done = (text) => { clearTimeout(late); socket.close(); resolve(text); };
    const late = setTimeout(() => done('silence'), 300);
    socket.on('message', (text) => done(String(text)));
    socket.on('error', ({ code }) => done(code));
    socket.bind(fromPort, from, () => socket.send('hello', port, to));
  }),
  serve: (ip, port) => new Promise((resolve) => {
    const udp = dgram.createSocket(net.isIPv6(ip) ? 'udp6' : 'udp4');
    udp.on('message', (_, { address, port: at }) => udp.send(ip + ' ' + address + ' ' + at, at, address));
    udp.bind(port, ip);
    net.createServer((socket) => {
      served.add(socket);
      socket.on('error', () => {}).on('close', () => served.delete(socket));
      socket.write(plain(socket.localAddress) + ' ' + plain(socket.remoteAddress) + '\\n');
      socket.on('data', (data) => socket.write(data));
    }).listen(port, ip, () => resolve('serves'));
  }),
  push(text) {
    for (const socket of served) socket.write(text + '\\n');
    return String(served.size);
  },
};
process.on('message', async ([call, method, given]) => process.send([call, await methods[method](...given)]));
process.on('disconnect', () => process.exit());
`;
