/** The demo's keys, on a terminal: `script` of util-linux gives it one, as a terminal window would. */
import { type ChildProcessWithoutNullStreams, spawn } from 'node:child_process';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterEach, expect, test } from 'vitest';
import { eventually } from './support/eventually.ts';
import { findCommand } from './support/packages.ts';
import { pinionMain } from './support/pinion.ts';
import { freePortWith, isBound } from './support/ports.ts';

/** In config/demo.yaml ash is so much above the port of the listeners. */
const ashOffset = 101;

let terminal: ChildProcessWithoutNullStreams | undefined;

afterEach(() => {
  // The end of its input ends the terminal, and the terminal's end the demo.
  terminal?.stdin.end();
  terminal?.kill('SIGKILL');
});

test('keys stop, start and drain a backend, again and again; q gives the terminal back', async () => {
  const script = findCommand('script');
  expect(script, 'script is missing: install bsdutils').toBeDefined();
  const mode = `stty -a | grep -oE -- '-?icanon'`;
  // Not that of test/demo.test.ts.
  const port = await freePortWith(ashOffset);
  const demo = `${process.execPath} ${pinionMain()} demo --port ${port}`;
  const command = `${mode}; ${demo}; echo "status $?"; ${mode}`;
  terminal = spawn(script!, ['--quiet', '--flush', '--return', '--command', command, '/dev/null']);
  let shown = '';
  terminal.stdout.setEncoding('utf8').on('data', (text) => {
    shown += text;
  });
  const { stdin } = terminal;
  /** Presses keys; resolves when the terminal shows, from here on, what they do. */
  const press = async (keys: string, effect: RegExp): Promise<void> => {
    const before = shown.length;
    stdin.write(keys);
    await eventually(`${effect} after ${keys}`, () => effect.test(shown.slice(before)));
  };
  await eventually('the demo to be ready', () => /Keys: 1-6 stop or start/.test(shown));
  for (let round = 0; round < 2; round++) {
    await press('1', /sample backend trees\/ash has stopped/);
    await press('1', /starting sample backend trees\/ash/);
    // Not until the demo says that it is up: it may be back before a check has missed it.
    await eventually('ash to listen', () => isBound('tcp', port + ashOffset));
    // And the demo has heard so from it.
    await sleep(1_000);
  }
  await press('b', /trees\/oak drains/);
  await press('b', /trees\/oak takes new clients again/);
  await press('@', /trees\/oak drains/);
  await press('@', /trees\/oak takes new clients again/);
  await press('46', /echoes\/(ash|elm) has stopped[\s\S]*echoes\/(ash|elm) has stopped/);
  await press('q', /status 0/);
  await eventually('the terminal as it was', () => /status 0\s+icanon/.test(shown));
  expect(shown).toMatch(/^icanon/);
});
