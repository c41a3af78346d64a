/** The demo's sample backends: each is a process of its own, so stopping one is stopping a real server. */
import { type ChildProcess, spawn } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import type { Plan, Protocol } from '../core/plan.ts';
import { poolsOf } from '../core/routes.ts';

const mainFile = fileURLToPath(new URL('../main.js', import.meta.url));

export interface Sample {
  /** What is pressed to stop or start it. */
  readonly key: string;
  readonly pool: string;
  readonly name: string;
  readonly protocol: Protocol;
  readonly ip: string;
  readonly port: number;
  process: ChildProcess | undefined;
}

export function samplesOf(plan: Plan): Sample[] {
  const samples: Sample[] = [];
  for (const pool of plan.pools) {
    const protocol =
      plan.listeners.find((listener) => poolsOf(listener).includes(pool.name))?.protocol ?? 'tcp';
    for (const { name, address } of pool.backends) {
      if (address.kind !== 'inet') continue;
      const key = String(samples.length + 1);
      samples.push({
        key,
        pool: pool.name,
        name,
        protocol,
        ip: address.ip,
        port: address.port,
        process: undefined,
      });
    }
  }
  return samples;
}

/**
 * Starts it; `say` hears when it stops again.
 * @returns whether it listens; false when it ended before it did, and said why
 */
export function startSample(sample: Sample, say: (text: string) => void): Promise<boolean> {
  const { protocol, ip, port, name } = sample;
  const args = ['sample-backend', '--protocol', protocol, '--ip', ip, '--port', String(port), '--name', name];
  // Nothing of the terminal: a Node process that ends puts the terminal of any stream it has back to how it found it, and
  // the demo would no longer hear single keys. Its standard input is a pipe that ends with us.
  const child = spawn(process.execPath, [mainFile, ...args], { stdio: 'pipe' });
  sample.process = child;
  child.stderr.on('data', (text: Buffer) => process.stderr.write(text));
  let listens = false;
  return new Promise((resolve) => {
    child.stdout.once('data', () => {
      listens = true;
      resolve(true);
    });
    child.once('exit', () => {
      resolve(false);
      if (sample.process === child) sample.process = undefined;
      if (listens) say(`sample backend ${sample.pool}/${sample.name} has stopped`);
    });
  });
}

export function stopSample(sample: Sample): void {
  sample.process?.kill('SIGTERM');
}
