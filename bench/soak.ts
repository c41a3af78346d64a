/**
 * The command of the soak: `node dist/bench/soak.js [--minutes 10] [--datagrams 1000000]`. Prints what was done and
 * what is left of it; exit code 1 when anything is not as it must be.
 */
import { parseArgs } from 'node:util';
import { stopEverything } from '../test/support/processes.ts';
import { restText, soak } from './soak/soak.ts';

const minutesMax = 24 * 60;

const { values } = parseArgs({
  options: {
    minutes: { type: 'string', default: '10' },
    datagrams: { type: 'string', default: '1000000' },
  },
});
const minutes = Number(values.minutes);
const datagramsMin = Number(values.datagrams);
if (!(minutes > 0 && minutes <= minutesMax && datagramsMin >= 0)) {
  process.stderr.write(`usage: node dist/bench/soak.js [--minutes 10] [--datagrams 1000000]\n`);
  process.exit(2);
}
const say = (line: string): void => void process.stdout.write(`${line}\n`);
const soakMs = minutes * 60_000;
const result = await soak({ warmMs: Math.min(60_000, soakMs / 4), soakMs, datagramsMin, say });

say(`\n${'work'.padEnd(28)}${['done', 'failed', 'lost', 'wrong'].map((head) => head.padStart(10)).join('')}`);
for (const { name, mayFail, ...counts } of result.tallies) {
  const figures = [counts.done, counts.failed, counts.lost, counts.wrong].map((n) => String(n).padStart(10));
  say(`${name.padEnd(28)}${figures.join('')}${mayFail ? '  (failures and losses are meant)' : ''}`);
}
say(`
flows ${result.flowsTotal}, left ${result.flowsLeft}; datagrams ${result.datagrams}; backends died ${result.backendDeaths} times
before: ${restText(result.before)}
after:  ${restText(result.after)}
most:   ${result.pipeEndsMost} pipe ends, ${Math.round(result.rssMostBytes / 1e6)} MB resident
pinion's CPU during the soak: ${result.cpuSeconds.toFixed(1)} s`);
for (const miss of result.misses) say(`MISS: ${miss}`);
if (result.misses.length === 0) say('everything is back where it was, no payload was wrong');
await stopEverything();
process.exit(result.misses.length === 0 ? 0 : 1);
