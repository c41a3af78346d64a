/**
 * `pinion demo`: the real balancer on config/demo.yaml, with sample backends that say their name, and what happens
 * told line by line.
 */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { Loaded } from '../config/load.ts';
import { StartFailure } from '../control/listeners.ts';
import { formatAddress } from '../core/address-text.ts';
import type { Plan, Protocol } from '../core/plan.ts';
import { demoPort } from './commands/run.ts';
import { type Sample, samplesOf, startSample, stopSample } from './demo-samples.ts';
import { say, tell, tellBeginnings } from './demo-story.ts';
import { exitStatus } from './exit.ts';
import { Instance } from './instance.ts';
import { loadedOrComplain } from './load.ts';
import { print } from './standard-output.ts';

const otherPorts = 'To use other ports: pinion demo --port 9500 (or npm start -- --port 9500)';
// dist/src/cli/demo.js is three folders below the project.
const demoFile = fileURLToPath(new URL('../../../config/demo.yaml', import.meta.url));

export async function demo(port = demoPort): Promise<void> {
  const loaded = loadedOrComplain(port === demoPort ? demoFile : fileForPort(port));
  if (loaded === undefined) return;
  const { plan } = loaded;
  const samples = samplesOf(plan);
  process.on('exit', () => {
    for (const sample of samples) stopSample(sample);
  });
  const listening = await Promise.all(samples.map((sample) => startSample(sample, say)));
  if (listening.includes(false))
    refuse(`the demo needs these ports for its sample backends; is it already running? ${otherPorts}`);
  const instance = await startInstance(loaded);
  explainHowToPlay(plan, samples);
  tellBeginnings(instance.control);
  if (process.stdin.isTTY) obeyKeys(instance, samples);
}

/** The demo's file with its ports moved; it is there as long as the demo runs, for a reload reads it again. */
function fileForPort(port: number): string {
  const folder = mkdtempSync(join(tmpdir(), 'pinion-demo-'));
  process.on('exit', () => rmSync(folder, { recursive: true, force: true }));
  const text = readFileSync(demoFile, 'utf8').replaceAll(
    /(127\.0\.0\.1[: ])(\d{4})/g,
    (_, ip, at) => `${ip}${Number(at) - demoPort + port}`,
  );
  const file = join(folder, 'demo.yaml');
  writeFileSync(file, text);
  return file;
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
    return refuse(`${error.message}${error.message.includes('EADDRINUSE') ? `. ${otherPorts}` : ''}`);
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
    ({ key, pool, name, protocol, ip, port, process: child }, i) =>
      `  ${key} ${drainKeys[i] ?? ' '}  ${`${pool}/${name}`.padEnd(12)} ${protocol} ${ip}:${port}   pid ${child?.pid ?? 'none'}`,
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
    ...(plan.admin === undefined
      ? []
      : [[`http://${formatAddress(plan.admin.listen)}`, 'in a browser: the page, live'] as const]),
    [
      `curl -s ${plan.metrics === undefined ? '' : formatAddress(plan.metrics.listen)}/metrics`,
      'the metrics page',
    ],
  ] as const;
  const count = samples.length;
  const keys = `1-${count} stop or start that backend, a-${drainKeys[count - 1]} (or shift and its digit) drain it or end its drain, q quit`;
  print(`
pinion is balancing. Sample backends:

${rows.join('\n')}

Try, in another terminal:
${things.map(([command, meaning]) => `  ${command.padEnd(39)} ${meaning}`).join('\n')}
${process.stdin.isTTY ? `\nKeys: ${keys}\n` : ''}
`);
}

/** One for each sample, on every keyboard; and what shift and its digit gives on a US one. */
const drainKeys = 'abcdefghi';
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
  const drained = samples[Math.max(drainKeys.indexOf(key), shifted.indexOf(key))];
  if (drained !== undefined) {
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
