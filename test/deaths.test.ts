/**
 * A backend with many open connections dies: the short form of bench/deaths.ts, run as a program because its clients, and those whose
 * answers are timed meanwhile, are processes of their own. How long it may take is judged on a quiet machine, by the command itself:
 * `npm run bench:deaths -- --strict`. PINION_LONG=1: with as many connections as that.
 */
import { fileURLToPath } from 'node:url';
import { expect, test } from 'vitest';
import { runToEnd } from './support/processes.ts';

const connections = process.env.PINION_LONG === '1' ? 10_000 : 500;
const overS = process.env.PINION_LONG === '1' ? 10 : 2;

test.each(['epoll', 'portable'])(
  'all clients are told, at once or evenly, and others are served: %s',
  async (engine) => {
    const command = fileURLToPath(new URL('../dist/bench/deaths.js', import.meta.url));
    const args = [
      '--engine',
      engine,
      '--connections',
      String(connections),
      '--over',
      `0,${overS}`,
      '--calm',
      '0.5',
      '--past',
      '200',
    ];
    // It ends with another status than 0 when a client is not told, or one of the others is not served.
    const output = await runToEnd({
      command: process.execPath,
      args: [command, ...args],
      timeoutMs: 110_000,
    });
    const told = [...output.matchAll(/told after the verdict: first (-?\d+), half -?\d+, last (-?\d+) ms/g)];
    expect(told).toHaveLength(3);
    const [, first, last] = told[1]!.map(Number);
    expect(last! - first!, 'evenly over the time').toBeGreaterThan(overS * 500);
  },
);
