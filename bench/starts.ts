/**
 * What it costs to start a command: wall and CPU time over that of `node -e 0`, which does nothing.
 * `node dist/bench/starts.js [--runs 20] [--main FILE] [--config FILE]`.
 *
 * Commands take turns, so that what else the machine does meets all of them. Wall time is the median and says little on a machine that
 * is busy; CPU is user and system time of the command and its threads, the mean of all runs (/proc has it in hundredths of a second).
 * Commands that ask an instance meet nobody: what is measured is their start.
 */
import { spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { parseArgs } from 'node:util';
import { pinionMain } from '../test/support/pinion.ts';
import { median } from './summary.ts';

const { values } = parseArgs({
  options: {
    runs: { type: 'string', default: '20' },
    main: { type: 'string', default: pinionMain() },
    config: { type: 'string', default: 'config/demo.yaml' },
  },
});

const nobody = ['--admin', 'unix:/nonexistent/admin.sock'];
const commands: readonly (readonly string[])[] = [
  ['--help'],
  ['version', ...nobody],
  ['check', values.config],
  ['schema'],
  ['status', ...nobody],
  ['backends', ...nobody],
  ['explain', '--listener', 'web', '--client', '192.0.2.7', ...nobody],
  ['top', ...nobody],
];

/** Of all children that have ended. Milliseconds: 100 ticks a second on every Linux. */
function childrenCpuMs(): number {
  // The name of the process, in brackets, may have spaces; fields 16 and 17 are cutime and cstime.
  const fields = readFileSync('/proc/self/stat', 'utf8')
    .replace(/^.*\) /s, '')
    .split(' ');
  return (Number(fields[13]) + Number(fields[14])) * 10;
}

class Start {
  readonly title: string;
  private readonly args: readonly string[];
  private readonly wallsMs: number[] = [];
  private cpuMs = 0;

  constructor(title: string, args: readonly string[]) {
    this.title = title;
    this.args = args;
  }

  run(): void {
    const cpuBeforeMs = childrenCpuMs();
    const startedAtMs = performance.now();
    const { error, signal } = spawnSync(process.execPath, this.args, { stdio: 'ignore' });
    this.wallsMs.push(performance.now() - startedAtMs);
    this.cpuMs += childrenCpuMs() - cpuBeforeMs;
    if (error !== undefined || signal !== null) throw error ?? new Error(`${this.title}: ${signal}`);
  }

  figures(): { wallMs: number; cpuMs: number } {
    return { wallMs: median(this.wallsMs) ?? Number.NaN, cpuMs: this.cpuMs / this.wallsMs.length };
  }
}

const nothing = new Start('node -e 0', ['-e', '0']);
const starts = commands.map((args) => new Start(args[0]!, [values.main, ...args]));
for (let i = 0; i < Number(values.runs); i++) for (const start of [nothing, ...starts]) start.run();

const least = nothing.figures();
console.log(`node -e 0: wall ${least.wallMs.toFixed(0)} ms, CPU ${least.cpuMs.toFixed(0)} ms; over that:`);
for (const start of starts) {
  const { wallMs, cpuMs } = start.figures();
  const [wall, cpu] = [wallMs - least.wallMs, cpuMs - least.cpuMs].map((ms) => ms.toFixed(0).padStart(5));
  console.log(`  ${start.title.padEnd(10)} wall ${wall} ms   CPU ${cpu} ms`);
}
