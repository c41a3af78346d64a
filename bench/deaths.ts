/**
 * The command: `node dist/bench/deaths.js [--engine epoll,portable] [--connections 10000] [--how frozen,killed] [--over 0,10]
 * [--calm 3] [--past 4000] [--rounds 1] [--strict]`. A backend dies with so many connections open; prints when their clients were told and what others had of
 * it (deaths/deaths.ts). `--over`: `close_over` in seconds. `--calm`: so many seconds others are served before. `--past`: so many connections have come and gone before. `--strict`: exit code 1 where the promise is missed: all told
 * within a second of the verdict, p99 of others below 50 ms.
 */
import { loadavg } from 'node:os';
import { parseArgs } from 'node:util';
import { stopEverything } from '../test/support/processes.ts';
import { type DeathOptions, type DeathResult, die, spreadOf, type Times } from './deaths/deaths.ts';
import { describeMachine, machineText } from './machine.ts';

const { values } = parseArgs({
  options: {
    engine: { type: 'string', default: 'epoll,portable' },
    connections: { type: 'string', default: '10000' },
    how: { type: 'string', default: 'frozen,killed' },
    over: { type: 'string', default: '0,10' },
    calm: { type: 'string', default: '3' },
    past: { type: 'string', default: '4000' },
    rounds: { type: 'string', default: '1' },
    strict: { type: 'boolean', default: false },
  },
});
const promised = { toldMs: 1_000, p99Ms: 50 };
const say = (line: string): void => void process.stdout.write(`${line}\n`);
const text = ({ count, p50, p99, max }: Times): string =>
  `p50 ${p50.toFixed(1)}, p99 ${p99.toFixed(1)}, worst ${max.toFixed(1)} ms of ${count}`;

function report({ engine, how, closeOverMs }: DeathOptions, result: DeathResult): string[] {
  const { toldMs, connections, othersBefore, othersMeanwhile, cpuMs, mainCpuMs, readerCpuMs } = result;
  const lastMs = toldMs.at(-1)!;
  say(
    `${engine}, ${how}, close_over ${closeOverMs / 1_000} s, ${connections} connections, load ${loadavg()[0]!.toFixed(1)}`,
  );
  say(`  told after the verdict: first ${toldMs[0]!.toFixed(0)}, half ${toldMs[connections >> 1]!.toFixed(0)}, \
last ${lastMs.toFixed(0)} ms (the verdict came ${result.verdictMs} ms after the death); CPU of pinion ${cpuMs.toFixed(0)} ms, \
of it ${mainCpuMs.toFixed(0)} of the thread that logs; of this process ${readerCpuMs.toFixed(0)} ms`);
  if (closeOverMs > 0) say(`  in each tenth of the time: ${spreadOf(toldMs, closeOverMs, 10).join(' ')}`);
  say(`  others before: ${text(othersBefore)}; meanwhile: ${text(othersMeanwhile)}`);
  const misses: string[] = [];
  if (closeOverMs === 0 && lastMs > promised.toldMs)
    misses.push(`the last client was told after ${lastMs.toFixed(0)} ms`);
  if (othersMeanwhile.p99 > promised.p99Ms) misses.push(`p99 of others ${othersMeanwhile.p99.toFixed(1)} ms`);
  for (const miss of misses) say(`  MISS: ${miss}`);
  return misses;
}

say(machineText(await describeMachine()));
let missed = 0;
for (let round = 0; round < Number(values.rounds); round++) {
  for (const engine of values.engine.split(',') as DeathOptions['engine'][]) {
    for (const how of values.how.split(',') as DeathOptions['how'][]) {
      for (const over of values.over.split(',')) {
        // Only a verdict is paced: what a kernel has ended is passed on as it comes.
        if (how === 'killed' && Number(over) > 0) continue;
        const options = {
          engine,
          how,
          connections: Number(values.connections),
          closeOverMs: Number(over) * 1_000,
          calmMs: Number(values.calm) * 1_000,
          past: Number(values.past),
        };
        missed += report(options, await die(options)).length;
        await stopEverything();
      }
    }
  }
}
process.exit(values.strict && missed > 0 ? 1 : 0);
