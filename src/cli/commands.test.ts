/** The commands as a whole: what is loaded to start, what completion and man page are made of, what unknown words are answered with. */
import { readFileSync } from 'node:fs';
import { dirname, join, relative, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { CommanderError } from 'commander';
import { describe, expect, test } from 'vitest';
import { routeProtocols } from '../core/plan.ts';
import { manPage } from './man-page.ts';
import { pinionProgram } from './program.ts';
import { namesOf, suggestions } from './suggestions.ts';

const root = fileURLToPath(new URL('../..', import.meta.url));

/** What is loaded along with a file, before anything of it runs: files and packages. Types and dynamic imports load nothing. */
function loadedWith(file: string): Set<string> {
  const found = new Set<string>();
  const queue = [file];
  for (const path of queue) {
    if (found.has(path)) continue;
    found.add(path);
    if (!path.endsWith('.ts')) continue;
    const text = readFileSync(join(root, path), 'utf8');
    for (const [, from = '', alone] of text.matchAll(
      /^(?:import|export)\b(?! type\b)[^'";]*?\bfrom '([^']+)'|^import '([^']+)'/gm,
    )) {
      const target = from || alone!;
      queue.push(target.startsWith('.') ? relative(root, resolve(root, dirname(path), target)) : target);
    }
  }
  return found;
}

describe('what is loaded', () => {
  const heavy = ['zod', 'koffi', 'ioredis', 'pino', 'prom-client', 'node:worker_threads', 'node:tls'];
  const files = (loaded: Set<string>): number => [...loaded].filter((path) => path.endsWith('.ts')).length;

  test('for --help: the commands and nothing that they need to do their work', () => {
    const loaded = loadedWith('src/main.ts');
    expect([...loaded].filter((path) => !path.endsWith('.ts') && !path.startsWith('node:'))).toEqual([
      'commander',
    ]);
    expect([...loaded].filter((path) => heavy.includes(path))).toEqual([]);
    expect(files(loaded)).toBeLessThan(25);
  });

  test.each([
    'look/status',
    'look/backends',
    'look/connections',
    'ready',
    'change/backend',
    'suggestions',
    'top/top',
  ])('for %s: no check of configurations, no engine', (name) => {
    const loaded = loadedWith(`src/cli/${name}.ts`);
    expect([...loaded].filter((path) => heavy.includes(path))).toEqual([]);
    expect(files(loaded)).toBeLessThan(70);
  });

  test('for check: no room, no engine', () => {
    const loaded = loadedWith('src/cli/check.ts');
    // zod as config/zod.ts loads it, and not its main file, which is three times as much.
    const others = ['ioredis', 'pino', 'prom-client', 'koffi', 'hono', 'zod', 'node:worker_threads'];
    expect([...loaded].filter((path) => others.includes(path))).toEqual([]);
    expect(files(loaded)).toBeLessThan(160);
  });
});

describe('completion', () => {
  const words = (...written: readonly string[]): string[] =>
    suggestions(pinionProgram(), written).words.map(({ word }) => word);

  test('commands, those below others, and shells', () => {
    expect(words('st')).toEqual(['status']);
    expect(words('')).toEqual(expect.arrayContaining(['run', 'top', 'backends', 'drain', 'completion']));
    expect(words(''), 'what is hidden stays so').not.toContain('sample-backend');
    expect(words('pins', '')).toEqual(['list', 'get', 'set', 'move', 'delete']);
    expect(words('completion', '')).toEqual(['bash', 'zsh', 'fish']);
    expect(words('help', 'pins', 'm')).toEqual(['move']);
  });

  test('options that are not there yet, and their values', () => {
    expect(words('drain', 'pg/pg1', '--')).toEqual(
      expect.arrayContaining(['--move-pinned', '--force', '--json', '--help']),
    );
    expect(words('drain', '--json', '--')).not.toContain('--json');
    expect(words('explain', '--speaks', '')).toEqual([...routeProtocols]);
    expect(words('top', '--view', 'f')).toEqual(['flows']);
  });

  test('where a file stands the shell is asked, where a name stands the instance', () => {
    const wanted = (...words: readonly string[]) => suggestions(pinionProgram(), words);
    expect(wanted('run', '').wanted).toEqual(['files']);
    expect(wanted('status', '--config', 'pin').wanted).toEqual(['files']);
    expect(wanted('explain', '--listener', '').wanted).toEqual(['listeners']);
    expect(wanted('drain', '-a', 'unix:/x', '')).toMatchObject({
      wanted: ['pool/backend'],
      instance: { admin: 'unix:/x' },
    });
    expect(wanted('status', '--every', '').wanted).toEqual([]);
  });

  test('names begin as what is written, each once', () => {
    const page = {
      listeners: [{ name: 'web' }],
      backends: [
        { pool: 'pg', backend: 'one' },
        { pool: 'pg', backend: 'two' },
        { pool: 'games', backend: 'one' },
      ],
    };
    expect(namesOf(page, ['pool/backend'], 'pg/')).toEqual(['pg/one', 'pg/two']);
    expect(namesOf(page, ['backends'], '')).toEqual(['one', 'two']);
    expect(namesOf(page, ['pools', 'pool/backend'], 'g')).toEqual(['games', 'games/one']);
  });
});

test('the man page is that of these commands', () => {
  const text = manPage(pinionProgram());
  // Made anew by: node dist/src/main.js man > docs/pinion.1
  expect(readFileSync(join(root, 'docs/pinion.1'), 'utf8')).toBe(text);
  for (const { name } of pinionProgram()
    .createHelp()
    .visibleCommands(pinionProgram())
    .map((one) => ({ name: one.name() })))
    expect(text).toMatch(new RegExp(`^\\.SS "pinion ${name}\\b`, 'm'));
});

describe('a word that is no command', () => {
  function said(...words: readonly string[]): string {
    const errors: string[] = [];
    const program = pinionProgram();
    const quiet = (command: ReturnType<typeof pinionProgram>): void => {
      command.configureOutput({ writeErr: (text) => errors.push(text) });
      command.commands.forEach(quiet);
    };
    quiet(program);
    expect(() => program.parse([...words], { from: 'user' })).toThrow(CommanderError);
    return errors.join('');
  }

  test.each([
    [['statsu'], "error: unknown command 'statsu'; did you mean status?\nsee: pinion --help\n"],
    [['pins', 'mvoe'], "error: unknown command 'mvoe'; did you mean move?\nsee: pinion pins --help\n"],
    [['frobnicate'], "error: unknown command 'frobnicate'\nsee: pinion --help\n"],
    [['help', 'statsu'], "error: unknown command 'statsu'; did you mean status?\nsee: pinion --help\n"],
  ])('%j', (words, text) => expect(said(...words)).toBe(text));

  test.each([
    ['stop', /systemctl stop pinion/],
    ['logs', /journalctl -u pinion -f/],
    ['kill', /pinion connections kill/],
    ['enable', /pinion undrain POOL\/BACKEND/],
    ['toString', /^error: unknown command 'toString'\n/],
  ])('%s: what does it here', (word, text) => expect(said(word)).toMatch(text));
});
