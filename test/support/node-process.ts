/** The test's end of cluster-process.ts: calls go to a child process that can be stopped and killed for real. */
import { type ChildProcess, fork } from 'node:child_process';
import { existsSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

export interface NodeProcess {
  readonly pid: number;
  call(method: string, ...args: readonly unknown[]): Promise<unknown>;
  /** Sends a call without waiting: a stopped process gets it when it goes on. */
  send(method: string, ...args: readonly unknown[]): void;
  signal(signal: NodeJS.Signals): void;
}

const children = new Set<ChildProcess>();

export function startNodeProcess(url: string, name: string): NodeProcess {
  const builds = [process.env.PINION_BUILD ?? fileURLToPath(new URL('../../dist', import.meta.url))];
  const file = builds
    .map((build) => `${build}/test/support/cluster-process.js`)
    .find((path) => existsSync(path));
  if (file === undefined)
    throw new Error('dist/test/support/cluster-process.js is missing: run `npm run build` first');
  const child = fork(file, [url, name], { stdio: ['ignore', 'inherit', 'inherit', 'ipc'] });
  children.add(child);
  child.once('exit', () => children.delete(child));
  const waiting = new Map<number, (answer: unknown) => void>();
  child.on('message', (message: { id: number; answer: unknown }) => {
    waiting.get(message.id)?.(message.answer ?? undefined);
    waiting.delete(message.id);
  });
  let calls = 0;
  const send = (method: string, args: readonly unknown[]): number => {
    const id = ++calls;
    child.send({ id, method, args });
    return id;
  };
  return {
    pid: child.pid!,
    call: (method, ...args) => new Promise((resolve) => waiting.set(send(method, args), resolve)),
    send: (method, ...args) => void send(method, args),
    signal: (signal) => void child.kill(signal),
  };
}

export function stopNodeProcesses(): void {
  for (const child of children) child.kill('SIGKILL');
}
