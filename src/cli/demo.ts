/**
 * `pinion demo`: the real balancer on config/demo.yaml, with sample backends that say their name, and what happens
 * told line by line.
 */
import { fileURLToPath } from 'node:url';
import type { Loaded } from '../config/load.ts';
import { StartFailure } from '../control/listeners.ts';
import type { Plan, Protocol } from '../core/plan.ts';
import { type Sample, samplesOf, startSample, stopSample } from './demo-samples.ts';
import { say, tell, tellBeginnings } from './demo-story.ts';
import { exitStatus } from './exit.ts';
import { Instance } from './instance.ts';
import { loadedOrComplain } from './load.ts';
import { print } from './standard-output.ts';

// dist/src/cli/demo.js is three folders below the project.
const demoFile = fileURLToPath(new URL('../../../config/demo.yaml', import.meta.url));

export async function demo(): Promise<void> {
  const loaded = loadedOrComplain(demoFile);
  if (loaded === undefined) return;
  const { plan } = loaded;
  const samples = samplesOf(plan);
  process.on('exit', () => {
    for (const sample of samples) stopSample(sample);
  });
  const listening = await Promise.all(samples.map((sample) => startSample(sample, say)));
  if (listening.includes(false))
    refuse('the demo needs these ports for its sample backends; is it already running?');
  const instance = await startInstance(loaded);
  explainHowToPlay(plan, samples);
  tellBeginnings(instance.control);
  if (process.stdin.isTTY) obeyKeys(instance, samples);
}

async function startInstance(loaded: Loaded): Promise<Instance> {
  try {
    const instance = await Instance.create(loaded, {
      watch: tell,
      flush: async () => {},
      logLinesDropped: () => 0,
    });
    await instance.start();
    return instance;
  } catch (error) {
    if (!(error instanceof StartFailure)) throw error;
    return refuse(error.message);
  }
}

function refuse(reason: string): never {
  process.stderr.write(`pinion: ${reason}\n`);
  process.exit(exitStatus.refused);
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
  const things = [
    [`nc ${place('tcp')}`, 'a TCP client: type a line, the backend answers with its name'],
    [
      `nc -s 127.0.0.2 ${place('tcp')}`,
      'another client address, perhaps another backend; each keeps its own',
    ],
    [`echo hi | nc -u -w1 ${place('udp')}`, 'the same over UDP; -s works here too'],
    [
      `kill ${victim?.process?.pid ?? 'PID'}`,
      `stop ${victim?.name ?? 'a backend'}: its clients move, the others stay`,
    ],
    ['curl -s 127.0.0.1:9464/metrics', 'the metrics page'],
  ] as const;
  const keys = `1-${samples.length} stop or start that backend, shift+1-${samples.length} (!@#...) drain it or end its drain, q quit`;
  print(`
pinion is balancing. Sample backends:

${rows.join('\n')}

Try, in another terminal:
${things.map(([command, meaning]) => `  ${command.padEnd(39)} ${meaning}`).join('\n')}
${process.stdin.isTTY ? `\nKeys: ${keys}\n` : ''}
`);
}

const shifted = '!@#$%^&*(';

function obeyKeys(instance: Instance, samples: readonly Sample[]): void {
  // Node gives the terminal back as it was when the process ends.
  process.stdin.setRawMode(true);
  process.stdin.setEncoding('utf8');
  // Keys that are pressed quickly, or pasted, come together.
  process.stdin.on('data', (keys: string) => {
    for (const key of keys) obey(key, instance, samples);
  });
}

function obey(key: string, instance: Instance, samples: readonly Sample[]): void {
  if (key === 'q' || key === '\u0003') {
    const { control } = instance;
    if (control.ready && control.views.counters.flows() > 0) say('press q again to end open flows at once');
    void instance.stop();
    return;
  }
  const pressed = samples.find((sample) => sample.key === key);
  if (pressed !== undefined) toggle(pressed);
  const drained = samples[shifted.indexOf(key)];
  if (drained !== undefined && shifted.includes(key)) {
    const { backends } = instance.control;
    const status = backends.status().find((row) => row.pool === drained.pool && row.backend === drained.name);
    backends.operate(drained.pool, drained.name, { state: status?.draining === true ? 'ready' : 'drain' });
  }
}

function toggle(sample: Sample): void {
  if (sample.process === undefined) {
    say(`starting sample backend ${sample.pool}/${sample.name}`);
    void startSample(sample, say);
  } else {
    stopSample(sample);
  }
}
