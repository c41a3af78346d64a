/**
 * `pinion demo`: the real balancer on config/demo.yaml, with sample backends that say their name, and what happens
 * told line by line. Each sample backend is a process of its own, so stopping one is stopping a real server.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { Command } from 'commander';
import type { ControlEvent } from '../control/events.ts';
import { StartFailure } from '../control/listeners.ts';
import type { Plan, Protocol } from '../core/plan.ts';
import { inWords } from '../observe/log.ts';
import { exitStatus } from './exit.ts';
import { Instance } from './instance.ts';
import { loadOrComplain } from './load.ts';
import { serveSample } from './sample-backend.ts';

// dist/src/cli/demo.js is three folders below the project.
const demoFile = fileURLToPath(new URL('../../../config/demo.yaml', import.meta.url));
const mainFile = fileURLToPath(new URL('../main.js', import.meta.url));

interface Sample {
  readonly key: string;
  readonly pool: string;
  readonly name: string;
  readonly protocol: Protocol;
  readonly ip: string;
  readonly port: number;
  process: ChildProcess | undefined;
}

export function demoCommand(): Command {
  return new Command('demo')
    .description('run the balancer with sample backends on this machine, and show what happens')
    .action(() => demo());
}

/** One sample backend; the demo starts it as a process of its own. */
export function sampleBackendCommand(): Command {
  return new Command('sample-backend')
    .requiredOption('--protocol <tcp|udp>')
    .requiredOption('--ip <ip>')
    .requiredOption('--port <port>')
    .requiredOption('--name <name>')
    .action((options: { protocol: Protocol; ip: string; port: string; name: string }) => {
      serveSample(options.protocol, options.ip, Number(options.port), options.name);
    });
}

export async function demo(): Promise<void> {
  const plan = loadOrComplain(demoFile);
  if (plan === undefined) return;
  const samples = samplesOf(plan);
  for (const sample of samples) startSample(sample);
  process.on('exit', () => {
    for (const sample of samples) sample.process?.kill('SIGTERM');
  });
  await Promise.all(samples.map(isAnswering));
  const instance = await Instance.create(plan, {
    watch: tell,
    flush: async () => {},
    logLinesDropped: () => 0,
  });
  try {
    await instance.start();
  } catch (error) {
    if (!(error instanceof StartFailure)) throw error;
    process.stderr.write(`pinion: ${error.message}\n`);
    process.exit(exitStatus.refused);
  }
  explainHowToPlay(plan, samples);
  if (process.stdin.isTTY) obeyKeys(instance, samples);
}

function samplesOf(plan: Plan): Sample[] {
  const samples: Sample[] = [];
  for (const pool of plan.pools) {
    const protocol = plan.listeners.find((listener) => listener.pool === pool.name)?.protocol ?? 'tcp';
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

function startSample(sample: Sample): void {
  const { protocol, ip, port, name } = sample;
  const args = ['sample-backend', '--protocol', protocol, '--ip', ip, '--port', String(port), '--name', name];
  const child = spawn(process.execPath, [mainFile, ...args], { stdio: ['ignore', 'pipe', 'inherit'] });
  sample.process = child;
  child.on('exit', () => {
    if (sample.process === child) sample.process = undefined;
    say(`sample backend ${sample.pool}/${name} has stopped`);
  });
}

/** Resolves when the sample says it listens, or is gone. */
function isAnswering(sample: Sample): Promise<void> {
  return new Promise((resolve) => {
    sample.process?.stdout?.once('data', () => resolve());
    sample.process?.once('exit', () => resolve());
  });
}

function explainHowToPlay(plan: Plan, samples: readonly Sample[]): void {
  const place = (protocol: Protocol): string => {
    const bind = plan.listeners.find((listener) => listener.protocol === protocol)?.bind;
    return bind?.kind === 'inet' ? `${bind.ip} ${bind.port}` : '';
  };
  const victim = samples.find(({ protocol }) => protocol === 'tcp');
  const rows = samples.map(
    ({ key, pool, name, protocol, ip, port, process: child }) =>
      `  ${key}  ${`${pool}/${name}`.padEnd(12)} ${protocol} ${ip}:${port}   pid ${child?.pid ?? 'none'}`,
  );
  process.stdout.write(`
pinion is balancing. Sample backends:

${rows.join('\n')}

Try, in another terminal:
  nc ${place('tcp')}                       a TCP client: type a line, the backend answers with its name
  nc -s 127.0.0.2 ${place('tcp')}          another client address, perhaps another backend; each keeps its own
  echo hi | nc -u -w1 ${place('udp')}      the same over UDP; -s works here too
  kill ${String(victim?.process?.pid ?? 'PID').padEnd(33)} stop ${victim?.name ?? 'a backend'}: its clients move, the others stay
  curl -s 127.0.0.1:9464/metrics          the metrics page
${
  process.stdin.isTTY
    ? `
Keys: 1-${samples.length} stop or start that backend, shift+1-${samples.length} (!@#...) drain it or end its drain, q quit
`
    : ''
}
`);
}

const shifted = '!@#$%^&*(';

function obeyKeys(instance: Instance, samples: readonly Sample[]): void {
  process.stdin.setRawMode(true);
  process.stdin.setEncoding('utf8');
  process.stdin.on('data', (key: string) => {
    if (key === 'q' || key === '\u0003') {
      process.stdin.setRawMode(false);
      void instance.stop();
      return;
    }
    const pressed = samples.find((sample) => sample.key === key);
    if (pressed !== undefined) toggle(pressed);
    const drained = samples[shifted.indexOf(key)];
    if (drained !== undefined && shifted.includes(key)) {
      const { backends } = instance.control;
      const status = backends
        .status()
        .find((row) => row.pool === drained.pool && row.backend === drained.name);
      backends.setDraining(drained.pool, drained.name, !(status?.draining ?? false));
    }
  });
}

function toggle(sample: Sample): void {
  if (sample.process === undefined) {
    say(`starting sample backend ${sample.pool}/${sample.name}`);
    startSample(sample);
  } else {
    sample.process.kill('SIGTERM');
  }
}

/** The demo's log: an event a line, in words. */
function tell(event: ControlEvent): void {
  if (event.event !== 'flow-ended') {
    say(inWords(event));
    return;
  }
  const { flow } = event;
  const amount =
    flow.protocol === 'tcp'
      ? `${flow.bytesIn} B in, ${flow.bytesOut} B out`
      : `${flow.datagramsIn} datagrams in, ${flow.datagramsOut} out`;
  say(
    `${flow.protocol} ${flow.client} -> ${flow.backend ?? 'nobody'} by ${flow.reason ?? 'none'}: ` +
      `${amount}, ${(flow.durationMs / 1000).toFixed(1)} s, ${flow.code}`,
  );
}

function say(text: string): void {
  process.stdout.write(`${new Date().toTimeString().slice(0, 8)}  ${text}\n`);
}
