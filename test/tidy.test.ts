/**
 * The house's own rules, held against the code: who may import whom, calls that have a better replacement,
 * functions that fit a screen, no file nobody uses, no export only tests use, nothing left to be done later. docs/ARCHITECTURE.md explains
 * the table below; change both together.
 */
import { readdirSync, readFileSync } from 'node:fs';
import { dirname, join, relative, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, test } from 'vitest';

const root = fileURLToPath(new URL('..', import.meta.url));

interface SourceFile {
  /** From the project's root, with forward slashes. */
  readonly path: string;
  readonly text: string;
  readonly lines: readonly string[];
  readonly imports: readonly string[];
}

function read(path: string): SourceFile {
  const text = readFileSync(join(root, path), 'utf8');
  const imports = [...text.matchAll(/(?:^|\n)\s*(?:import|export)\b[^'";]*?from\s+'([^']+)'/g)].map(
    (m) => m[1]!,
  );
  imports.push(...[...text.matchAll(/(?:^|\n)import '([^']+)'/g)].map((m) => m[1]!));
  imports.push(...[...text.matchAll(/\bimport\('([^']+)'\)/g)].map((m) => m[1]!));
  return { path, text, lines: text.split('\n'), imports };
}

function filesUnder(folder: string): SourceFile[] {
  return readdirSync(join(root, folder), { recursive: true, encoding: 'utf8' })
    .filter((name) => name.endsWith('.ts'))
    .map((name) => read(`${folder}/${name.replaceAll('\\', '/')}`));
}

const sources = filesUnder('src');
const production = sources.filter(
  ({ path }) => !path.endsWith('.test.ts') && !path.startsWith('src/engine/conformance'),
);
const everything = [...sources, ...filesUnder('test'), ...filesUnder('bench')];

/** The room a file is in: the longest folder of the table it lies under. */
function roomOf(path: string): string {
  const rooms = Object.keys(mayImport).filter((room) => path.startsWith(`src/${room}/`));
  return rooms.sort((a, b) => b.length - a.length)[0] ?? '.';
}

/** What an import names: a room of src, or a package. */
function targetOf(file: SourceFile, specifier: string): string {
  if (!specifier.startsWith('.')) return specifier;
  const path = relative(root, resolve(root, dirname(file.path), specifier));
  return roomOf(path) === '.' && path.startsWith('src/engine/') ? 'engine' : roomOf(path);
}

/** The files that are loaded as soon as this one is: neither types, nor what is imported when it is needed. */
function loadedBy(path: string, text: string): string[] {
  const named = text.matchAll(/(?:^|\n)\s*(?:import|export)\b(?! type\b)[^'";]*?from\s+'(\.[^']+)'/g);
  return [...named].map((match) => relative(root, resolve(root, dirname(path), match[1]!)));
}

/** The first way round that leads back to where it began; empty: there is none. */
function circleIn(loads: ReadonlyMap<string, readonly string[]>): string[] {
  const done = new Set<string>();
  const from = (file: string, way: readonly string[]): string[] => {
    if (way.includes(file)) return [...way.slice(way.indexOf(file)), file];
    if (done.has(file)) return [];
    for (const next of loads.get(file) ?? []) {
      const circle = from(next, [...way, file]);
      if (circle.length > 0) return circle;
    }
    done.add(file);
    return [];
  };
  for (const file of loads.keys()) {
    const circle = from(file, []);
    if (circle.length > 0) return circle;
  }
  return [];
}

/** Each room and what it may know besides itself. */
const mayImport: Readonly<Record<string, readonly string[]>> = {
  core: ['wire'],
  wire: ['core'],
  // Dialects of checks declare their own options.
  config: [
    'core',
    'checks',
    'control/discovery',
    'zod',
    'node:fs',
    'node:crypto',
    'node:module',
    'node:path',
    'node:os',
  ],
  // The nft command, where libnftables is missing.
  linux: ['core', 'wire', 'koffi', 'node:os', 'node:fs', 'node:child_process'],
  engine: ['core', 'engine/epoll'],
  'engine/portable': [
    'engine',
    'core',
    'wire',
    'node:net',
    'node:dgram',
    'node:os',
    'node:fs',
    'node:worker_threads',
  ],
  'engine/epoll': ['engine', 'core', 'wire', 'linux', 'node:fs'],
  worker: [
    'engine',
    'engine/portable',
    'engine/epoll',
    'core',
    'wire',
    'rooms',
    'node:worker_threads',
    'node:fs',
    'node:crypto',
  ],
  kernel: [
    'core',
    'wire',
    'linux',
    'engine',
    'worker',
    'rooms',
    'node:worker_threads',
    'node:timers/promises',
    'node:path',
    'node:net',
  ],
  pins: ['core'],
  rooms: [
    'core',
    'node:worker_threads',
    'node:dns',
    'node:dns/promises',
    'node:fs',
    'node:path',
    'node:crypto',
  ],
  control: [
    'config',
    'core',
    'pins',
    'worker',
    'engine',
    'kernel',
    'rooms',
    'checks',
    'cluster',
    'control/discovery',
    'front',
    'node:fs',
    'node:os',
    'node:path',
  ],
  'control/discovery': ['control', 'config', 'core', 'checks', 'node:fs', 'node:path'],
  cluster: [
    'core',
    'pins',
    'rooms',
    'ioredis',
    'node:events',
    'node:fs',
    'node:net',
    'node:crypto',
    'node:tls',
    'node:path',
    'node:timers/promises',
  ],
  checks: [
    'core',
    'wire',
    'rooms',
    'linux',
    'node:child_process',
    'node:net',
    'node:tls',
    'node:http',
    'node:https',
    'node:dgram',
    'node:dns/promises',
    'node:os',
    'node:fs',
    'node:path',
    'node:crypto',
    'node:vm',
  ],
  observe: [
    'control',
    'cluster',
    'core',
    'front',
    'rooms',
    'worker',
    'pino',
    'prom-client',
    'node:fs',
    'node:tty',
  ],
  front: [
    'control',
    'cluster',
    'control/discovery',
    'core',
    'pins',
    'rooms',
    'observe',
    'prom-client',
    'hono',
    'zod',
    'node:http',
    'node:fs',
    'node:net',
    'node:crypto',
  ],
  // Of the room it has types alone: it runs in a browser.
  'front/page': ['front', 'uplot'],
};
// cli/ and main.ts put everything together and may import anything.

describe('the house', () => {
  test('imports follow the table', () => {
    const wrong: string[] = [];
    for (const file of production) {
      const room = roomOf(file.path);
      if (room === '.') continue;
      for (const specifier of file.imports) {
        const target = targetOf(file, specifier);
        if (target !== room && target !== 'node:assert/strict' && !mayImport[room]!.includes(target))
          wrong.push(`${file.path} imports ${specifier}`);
      }
    }
    expect(wrong).toEqual([]);
  });

  test('koffi is imported in one file', () => {
    const importers = production.filter(({ imports }) => imports.includes('koffi')).map(({ path }) => path);
    expect(importers.filter((path) => path !== 'src/linux/libc.ts')).toEqual([]);
  });

  test('control knows the engine only by its types', () => {
    const wrong = production
      .filter(({ path }) => path.startsWith('src/control/'))
      .filter(({ text }) => /^import (?!type)[^;]*engine\//m.test(text));
    expect(wrong.map(({ path }) => path)).toEqual([]);
  });

  test('control and the rooms know each other by messages and clients', () => {
    const strangers = /^import (?!type)[^;]*\b(ioredis|node:http|node:net|node:dns)/m;
    const loads = (from: RegExp, what: RegExp): string[] =>
      production.filter(({ path, text }) => from.test(path) && what.test(text)).map(({ path }) => path);
    expect(loads(/^src\/control\/[^/]+$/, strangers)).toEqual([]);
    // Whoever loads a client must not load what speaks with strangers along with it.
    expect(loads(/^src\/(cluster|checks|front)\/client\.ts$/, strangers)).toEqual([]);
    // Not even its type: what they may know of control is its view (control/view.ts), which nobody can change.
    expect(loads(/^src\/(checks|cluster|front|observe)\//, /^import [^;]*control\/control\.ts/m)).toEqual([]);
  });

  test('the page takes nothing but types from the front room', () => {
    const wrong = production
      .filter(({ path }) => path.startsWith('src/front/page/'))
      .filter(({ text }) => /^import (?!type)[^;]*'\.\.\//m.test(text));
    expect(wrong.map(({ path }) => path)).toEqual([]);
  });

  test('no file loads itself through others', () => {
    const loads = new Map(production.map(({ path, text }) => [path, loadedBy(path, text)]));
    expect(circleIn(loads)).toEqual([]);
    // That it would be found.
    const round = { a: ['b'], b: ['c'], c: ['b'] };
    expect(circleIn(new Map(Object.entries(round)))).toEqual(['b', 'c', 'b']);
  });

  test('every file is used', () => {
    const used = new Set<string>();
    for (const file of everything) {
      for (const specifier of file.imports) {
        if (specifier.startsWith('.')) used.add(relative(root, resolve(root, dirname(file.path), specifier)));
      }
      for (const match of file.text.matchAll(/new URL\('([^']+\.js)'/g)) {
        used.add(relative(root, resolve(root, dirname(file.path), match[1]!.replace(/\.js$/, '.ts'))));
      }
    }
    // The conformance suite's own scripts are started by path; what is run first, and types of what the build copies, nobody imports.
    const orphans = production
      .map(({ path }) => path)
      .filter((path) => !/(^src|\/page)\/main\.ts$|\.(test|d)\.ts$/.test(path) && !used.has(path));
    expect(orphans).toEqual([]);
  });
});

/** Not production, though it lies in src. */
const testFile = /^test\/|\.test\.ts$|\.fixture\.ts$|^src\/engine\/conformance/;

/** Who uses what a file exports, by `file#name`: names imported, members of `import * as`, words of who imports it when it is needed. */
function usesOf(
  files: readonly Pick<SourceFile, 'path' | 'text'>[],
): ReadonlyMap<string, ReadonlySet<string>> {
  const uses = new Map<string, Set<string>>();
  for (const { path, text } of files) {
    const add = (specifier: string, name: string): void => {
      const key = `${relative(root, resolve(root, dirname(path), specifier))}#${name}`;
      const users = uses.get(key) ?? new Set();
      uses.set(key, users.add(path));
    };
    const named =
      /(?:^|\n)\s*(?:import|export)\s+(?:type\s+)?(?:\w+\s*,\s*)?\{([^}]*)\}\s*from\s+'(\.[^']+)'/g;
    for (const [, names, specifier] of text.matchAll(named))
      for (const one of names!.split(',')) add(specifier!, one.trim().replace(/^type\s+|\s+as\s.*$/g, ''));
    for (const [, alias, specifier] of text.matchAll(/import \* as (\w+) from '(\.[^']+)'/g))
      for (const [, name] of text.matchAll(new RegExp(`\\b${alias}\\.(\\w+)`, 'g'))) add(specifier!, name!);
    for (const [, specifier] of text.matchAll(/\bimport\(\s*(?:\/\*.*?\*\/\s*)?'(\.[^']+)'/g))
      for (const name of new Set(text.match(/\w+/g))) add(specifier!, name);
  }
  return uses;
}

/** Values a file of src exports that no other file of production imports: `file#name`, apart by whether tests do. */
function idleExports(files: readonly Pick<SourceFile, 'path' | 'text'>[]): {
  unused: string[];
  tests: string[];
} {
  const uses = usesOf(files);
  const [unused, tests]: [string[], string[]] = [[], []];
  for (const { path, text } of files) {
    if (!path.startsWith('src/') || testFile.test(path)) continue;
    const exported = /(?:^|\n)export (?:abstract )?(?:async )?(?:const|let|function\*?|class)\s+(\w+)/g;
    for (const [, name] of text.matchAll(exported)) {
      const users = [...(uses.get(`${path}#${name}`) ?? [])].filter((user) => user !== path);
      if (users.some((user) => !testFile.test(user))) continue;
      (users.length > 0 ? tests : unused).push(`${path}#${name}`);
    }
  }
  return { unused, tests: tests.sort() };
}

/** A ratchet, by why: this list may shrink; what joins it needs one of these reasons, or a new one that is as good. */
const exportedForTests: Readonly<Record<string, readonly string[]>> = {
  'what a command prints, made of an answer that a test writes': [
    'src/cli/change/pins.ts#setText',
    'src/cli/load.ts#excerptOf',
    'src/cli/look/backends.ts#backendsLines',
    'src/cli/look/backends.ts#takingNone',
    'src/cli/look/connections.ts#connectionsLines',
    'src/cli/look/events.ts#eventsLines',
    'src/cli/look/look.ts#redrawn',
    'src/cli/look/pins.ts#pinsLines',
    'src/cli/look/status.ts#statusLines',
    'src/cli/look/version.ts#versionText',
    'src/cli/man-page.ts#manPage',
    'src/cli/ready.ts#refusalIn',
    'src/cli/suggestions.ts#namesOf',
  ],
  'the pure part of what reads a file, /proc, Redis or the network': [
    'src/checks/scram.ts#decodeServerFirst',
    'src/checks/scram.ts#prepare',
    'src/cluster/client-sums.ts#parseClientCounts',
    'src/cluster/stream-text.ts#parseEntry',
    'src/config/address-file.ts#parseAddressFile',
    'src/config/backend-list.ts#parseBackendList',
    'src/config/load.ts#parsePlan',
    'src/control/discovery/dns-backends.ts#serviceName',
    'src/engine/portable/kernel-drops.ts#collectDrops',
    'src/engine/portable/kernel-drops.ts#keyOf',
    'src/engine/portable/proc-net-tcp.ts#readQueues',
    'src/front/connection.ts#peerOf',
    'src/kernel/present.ts#presentOf',
    'src/wire/proxy-header.ts#readSsl',
  ],
  'a formula that is held against published values, or against a slow one': [
    'src/config/suggest.ts#editDistance',
    'src/core/key-bytes.ts#hash128',
  ],
  'all of a kind, held against its documentation': [
    'src/front/api/api.ts#apiOperations',
    'src/observe/log.ts#ownEventLevels',
    'src/observe/metrics.ts#familiesOf',
  ],
  'what production has one of, or has by another way, and tests make': [
    'src/engine/epoll/engine.ts#EpollEngine',
    'src/linux/nft.ts#openNftCommand',
    'src/linux/nft.ts#openNftLibrary',
    'src/rooms/kept-files.ts#KeptFiles',
  ],
  'the other direction of what production does: tests of the reader, and of the kernel, need it': [
    'src/wire/conntrack.ts#encodeDelete',
    'src/wire/minecraft.ts#encodeVarInt',
  ],
};

describe('exports', () => {
  const { unused, tests } = idleExports(everything);

  test('are imported somewhere: what only its own file uses is not exported', () => {
    expect(unused).toEqual([]);
  });

  test('are imported by production: what only tests use goes, or is tested through what is used', () => {
    expect(tests).toEqual(Object.values(exportedForTests).flat().sort());
  });

  test('that nobody imports would be found, however others import', () => {
    const file = (path: string, text: string) => ({ path, text });
    const found = idleExports([
      file(
        'src/a.ts',
        'export const one = 1;\nexport function two() {}\nexport class Three {}\nexport async function four() {}\n' +
          'export const five = 5;\nexport const six = one;\nexport const seven = 7;\nexport interface Eight {}\n',
      ),
      file(
        'src/b.ts',
        "import {\n  type one as uno,\n  two,\n} from './a.ts';\nimport * as a from './a.ts';\na.five;\n",
      ),
      file('src/c/d.ts', "const { four } = await import('../a.ts');\n"),
      file('src/a.test.ts', "import { six } from './a.ts';\n"),
      file('test/b.test.ts', "import { Three } from '../src/a.ts';\n"),
    ]);
    expect(found).toEqual({ unused: ['src/a.ts#seven'], tests: ['src/a.ts#Three', 'src/a.ts#six'] });
  });
});

const banned: readonly { readonly pattern: RegExp; readonly instead: string; readonly where?: RegExp }[] = [
  { pattern: /\bconsole\./, instead: 'the log, or process.stdout in cli/', where: /^src\// },
  {
    pattern: /\bDate\.now\(/,
    instead: 'a monotonic clock that is passed in',
    where: /^src\/(core|wire|worker|engine)\//,
  },
  {
    pattern: /\bset(Timeout|Interval|Immediate)\(/,
    instead: 'time that is passed in',
    where: /^src\/(core|wire)\//,
  },
  { pattern: /\bMath\.random\(/, instead: 'randomness that is passed in', where: /^src\/(core|wire)\// },
  {
    pattern: /\bfrom 'node:(?!assert)/,
    instead: 'nothing: core and wire are pure',
    where: /^src\/(core|wire)\//,
  },
  { pattern: /\b(FIXME|TODO|XXX|HACK)\b/, instead: 'doing it, or an issue' },
  { pattern: /\.(only|todo)\(/, instead: 'running every test', where: /\.test\.ts$/ },
];

describe('the code', () => {
  test.each(banned)('does not use $pattern, but $instead', ({ pattern, where }) => {
    const judged = where === undefined ? everything : where.source.includes('test') ? everything : production;
    const found = judged
      .filter(({ path }) => path !== 'test/tidy.test.ts' && (where === undefined || where.test(path)))
      .flatMap(({ path, lines }) =>
        lines.flatMap((line, i) => (pattern.test(line) ? [`${path}:${i + 1}: ${line.trim()}`] : [])),
      );
    expect(found).toEqual([]);
  });

  test('functions fit a screen', () => {
    const long = production.flatMap((file) => longFunctions(file)).sort();
    expect(long).toEqual(tolerated);
  });

  test('each file begins by saying what it is', () => {
    const silent = production.filter(({ text }) => !/^(#!.*\n)?\/\*\*/.test(text)).map(({ path }) => path);
    expect(silent).toEqual([]);
  });
});

const functionLinesMax = 70;
/** A ratchet: this list may shrink, never grow. */
const tolerated: readonly string[] = [];

/** By indentation, which the formatter guarantees: a function ends where its own indent closes. */
function longFunctions({ path, lines }: SourceFile): string[] {
  const starts =
    /^(\s*)(?:export )?(?:default )?(?:(?:private|public|static|override|async|readonly) )*(?:function\*? ?\w*|get \w+|set \w+|#?\w+)\s*(?:<[^>]*>)?\(.*\{$|=> \{$/;
  return lines.flatMap((line, start) => {
    if (!starts.test(line) || /^\s*(if|for|while|switch|catch|return|describe|test)\b/.test(line)) return [];
    const indent = /^\s*/.exec(line)![0];
    const length = lines.slice(start + 1).findIndex((later) => later.startsWith(`${indent}}`)) + 2;
    return length > functionLinesMax ? [`${path}: ${line.trim()} (${length} lines)`] : [];
  });
}
