/**
 * Every block of code of README and docs/, and every command in their sentences, is run by a test, or stands in `notRun` with the
 * reason. A line that is in neither fails here. What other programs judge without being started is judged here as well: units
 * and drop-ins (systemd-analyze), keepalived, Prometheus, npm's scripts; and links lead somewhere.
 */
import { spawnSync } from 'node:child_process';
import { cpSync, existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { CommanderError } from 'commander';
import { afterAll, describe, expect, test } from 'vitest';
import { readOptions } from '../bench/options.ts';
import { pinionProgram } from '../src/cli/program.ts';
import { as, flag } from '../src/core/options.ts';
import {
  anchorsOf,
  blocksOf,
  blockWith,
  commandIn,
  commandOf,
  documentPages,
  pageText,
  spansOf,
} from './support/documents.ts';
import { namespaceWrapper } from './support/namespace.ts';
import { findCommand, requireCommand } from './support/packages.ts';
import { stopEverything } from './support/processes.ts';
import { requirePackage } from './support/require-package.ts';
import { temporaryFile, temporaryFolder } from './support/temporary.ts';

const root = fileURLToPath(new URL('..', import.meta.url));
const here = 'test/documents.test.ts';

afterAll(stopEverything);

/**
 * Who runs it: the beginning of a block (where a block is run as a whole) or of a command line, and the test. `*` is every block of
 * that language on the page. The test has to name the page.
 */
const run: Readonly<Record<string, readonly (readonly [begins: string, by: string])[]>> = {
  'README.md': [
    ['npm start', 'test/page-examples.test.ts'],
    ['nc ', 'test/page-examples.test.ts'],
    ['echo hi | nc', 'test/page-examples.test.ts'],
    ['curl ', 'test/page-examples.test.ts'],
    ['python3 -m http.server', 'test/page-examples.test.ts'],
    ['bin/pinion.js top', 'test/page-examples.test.ts'],
    ['bin/pinion.js explain', 'test/page-examples.test.ts'],
    ['bin/pinion.js check', 'test/readme.test.ts'],
    ['npm start -- my.yaml', 'test/readme.test.ts'],
    ['bin/pinion.js status', 'test/readme.test.ts'],
    ['admin: { listen: unix:/tmp', 'test/readme.test.ts'],
    ['cluster: { name: game-eu', 'test/page-examples.test.ts'],
    ['npm ', here],
  ],
  'CONTRIBUTING.md': [['npm ', here]],
  'docs/API.md': [
    ['curl ', 'test/documented-api.test.ts'],
    ['admin:', 'test/page-examples.test.ts'],
    ['openssl rand', 'test/page-examples.test.ts'],
  ],
  'docs/ARCHITECTURE.md': [
    ['// in tcpOptions', here],
    ['npx tsc -p . && bin/pinion.js schema', here],
  ],
  'docs/BENCHMARKS.md': [['npm ', here]],
  'docs/CHECKS.md': [
    ['* yaml', 'test/check-examples.test.ts'],
    ['* sql', 'test/check-examples.test.ts'],
    ['create role monitor', 'test/check-examples.test.ts'],
    ['grant pg_monitor', 'test/check-examples.test.ts'],
    ['npm ', here],
  ],
  'docs/CHOOSING.md': [
    ['* yaml', 'test/check-examples.test.ts'],
    ['tier 1 ', 'test/page-examples.test.ts'],
  ],
  'docs/CLUSTER.md': [
    ['{pinion:<cluster>:<shard>}', 'test/page-examples.test.ts'],
    ['redis-cli ', 'test/page-examples.test.ts'],
    ['redis://', 'test/page-examples.test.ts'],
    ['ACL SETUSER', 'test/cluster-forms.test.ts'],
    ['npm ', here],
  ],
  'docs/DASHBOARD.md': [
    ['* yaml', 'test/page-examples.test.ts'],
    ['ssh -L', 'test/page-examples.test.ts'],
    ['# nginx:', 'test/page-examples.test.ts'],
  ],
  'docs/DISCOVERY.md': [
    ['* yaml', 'test/check-examples.test.ts'],
    ['- { name: arena-1', 'test/check-examples.test.ts'],
  ],
  'docs/EDGE.md': [
    ['* yaml', 'test/edge-examples.test.ts'],
    ['limit  ', 'test/page-examples.test.ts'],
    ['bandwidth  ', 'test/page-examples.test.ts'],
    ['pinion.yaml:2:60:', 'test/edge-examples.test.ts'],
  ],
  'docs/INSTALL.md': [
    ['npm run package', 'test/installing.test.ts'],
    ['sudo apt-get install ./dist', 'test/installing.test.ts'],
    ['npm ci', 'test/installing.test.ts'],
    ['sudo npm install --global', 'test/installing.test.ts'],
    ['sudo cp ', 'test/installing.test.ts'],
    ['sudo mkdir ', 'test/installing.test.ts'],
    ['apt-get remove', 'test/installing.test.ts'],
    ['apt-get purge', 'test/installing.test.ts'],
    ['npm install -g', 'test/installing.test.ts'],
    ['sudo pinion check', 'test/newcomer.test.ts'],
    ['sudo pinion status', 'test/newcomer.test.ts'],
    ['npm start', 'test/readme.test.ts'],
    ['sudo systemctl enable --now pinion', here],
    ['sudo systemctl edit', here],
    ['systemd-analyze security pinion', 'test/systemd.test.ts'],
    ['systemctl edit', here],
  ],
  'docs/KEEPALIVED.md': [
    ['admin: ', 'test/page-examples.test.ts'],
    ['nft add rule', 'test/page-examples.test.ts'],
    ['ip -brief', 'test/page-examples.test.ts'],
    ['pinion ready --in-step --admin', 'test/page-examples.test.ts'],
    ['sysctl net', 'test/page-examples.test.ts'],
    ['curl -f', here],
    ['keepalived -', here],
  ],
  'docs/KERNEL.md': [
    ['net.ipv4.ip_forward = 1', 'test/page-examples.test.ts'],
    ['* ini', here],
    ['vrrp_script pinion_serves', 'test/support/kernel-pair.ts'],
    ['systemctl edit pinion', here],
    ['npm ', here],
  ],
  'docs/MIGRATING.md': [
    ['frontend pg', 'test/migrating.test.ts'],
    ['stream {', 'test/migrating.test.ts'],
    ['* yaml', 'test/migrating.test.ts'],
    ['nginx -', 'test/migrating.test.ts'],
  ],
  'docs/MONITORING.md': [
    ['# prometheus.yml', here],
    ['npm ', here],
    ['2026-11-29T00:10:11', 'test/page-examples.test.ts'],
    ['log:', 'test/page-examples.test.ts'],
  ],
  'docs/OPERATING.md': [
    ['pinion ', 'test/commands.test.ts'],
    ['POOL/BACKEND', 'test/page-examples.test.ts'],
  ],
  'docs/SECURITY.md': [
    ['openssl rand', 'test/page-examples.test.ts'],
    ['npm ', here],
    ['ssh -L', 'test/page-examples.test.ts'],
  ],
  'docs/TROUBLESHOOTING.md': [
    ['pinion ', 'test/commands.test.ts'],
    ['ss -ltnp', 'test/page-examples.test.ts'],
  ],
  'docs/TUNING.md': [
    ['# systemctl edit pinion', here],
    ['listeners:', 'test/page-examples.test.ts'],
    ['# Bursts of new', 'test/page-examples.test.ts'],
    ['net.ipv4.ip_local_reserved_ports', 'test/page-examples.test.ts'],
  ],
};

/** What no test runs, and why. Drawings are looked at. */
const notRun: Readonly<Record<string, readonly (readonly [begins: string, why: string])[]>> = {
  'docs/EDGE.md': [
    ['ulimit -n', 'is what a limit is called there'],
    ['openssl s_client', 'is what it was tested with: routes.test.ts has the whole line'],
  ],
  'README.md': [['apt-get install netcat-openbsd', 'installs what these tests have as their own package']],
  'docs/ARCHITECTURE.md': [['                      clients', 'a drawing']],
  'docs/HOW-IT-WORKS.md': [['   client 203.0.113.7', 'a drawing']],
  'docs/INSTALL.md': [
    [
      'apt-get install nodejs',
      'the package is not ours; its version decides what installing.test.ts is refused',
    ],
    ['sudo editor', 'an editor is a person'],
    ['systemctl status pinion', 'no service manager; systemd-notify.test.ts has the line that it shows'],
    ['systemctl reload', 'no service manager; newcomer.test.ts runs what ExecReload= says'],
    ['systemctl status', 'no service manager; systemd-notify.test.ts has the line that it shows'],
    ['podman ', 'no container tool; container.test.ts follows the recipe by hand'],
    ['--sysctl net.ipv4', 'no container tool; it is the kernel setting of machine.test.ts'],
    ['groupadd ops', 'would change who is on this machine; admin-api.test.ts gives the socket to a group'],
  ],
  'docs/KEEPALIVED.md': [
    ['                        clients', 'a drawing; pair.test.ts builds it'],
    ['systemctl kill', 'no service manager; pair.test.ts kills the process'],
  ],
  'docs/KERNEL.md': [
    ['                    clients', 'a drawing; kernel-pair.test.ts builds it'],
    ['listeners:', 'parsed by readme.test.ts; kernel-relay.test.ts runs one like it'],
    ['sysctl net', 'shows what kernel-pair.test.ts sets'],
    ['nft ', 'acts on the table that kernel-ruleset.test.ts makes'],
    ['ip route ', 'what kernel-pair.test.ts sets on its backends'],
  ],
  'docs/MONITORING.md': [
    ['journalctl ', 'no journal; systemd-notify.test.ts has the priorities'],
    ['systemctl kill', 'no service manager; observability.test.ts sends the signal'],
  ],
  'docs/TUNING.md': [
    ['sysctl --system', 'would change this machine; each of the settings is looked up'],
    ['ulimit -n', 'is beyond the limit of most machines that run tests'],
  ],
};

/** Runs in a shell, and not as `pinion`, whose commands in sentences are all parsed below. */
const commandSpan =
  /^(npm|npx|sudo|systemctl|systemd-analyze|journalctl|apt-get|nft|ip|ss|sysctl|ulimit|curl|python3|openssl|ssh|podman|--sysctl|groupadd|keepalived|nginx|create role|grant|net\.ipv4\.ip_local_reserved_ports) \S/;

interface Unit {
  readonly where: string;
  readonly text: string;
}

/** What has to be run: lines of commands, whole blocks of all else, and commands in sentences. */
function unitsOf(page: string): (Unit & { readonly language: string })[] {
  const blocks = blocksOf(page).flatMap(({ line, language, text }) => {
    const isCommands = ['sh', 'console'].includes(language) || /^(nft|ip) /.test(text);
    if (!isCommands) return [{ where: `${page}:${line}`, language, text }];
    return text
      .trimEnd()
      .split('\n')
      .map((one, i) => ({ where: `${page}:${line + i}`, language, text: commandIn(one) }));
  });
  const spans = spansOf(page)
    .filter(({ text }) => commandSpan.test(text))
    .map(({ line, text }) => ({ where: `${page}:${line}`, language: '', text }));
  return [...blocks, ...spans];
}

const isAbout = ([begins]: readonly [string, string], unit: { text: string; language: string }): boolean =>
  begins.startsWith('* ') ? unit.language === begins.slice(2) : unit.text.startsWith(begins);

/** Made by the command itself, held against it by its own test, or about what was. */
const generated = new Set(['docs/CONFIGURATION.md', 'CHANGELOG.md']);

describe('who runs what', () => {
  const pages = documentPages.filter((page) => !generated.has(page));

  test.each(pages)('%s: each line is run, or stands here with a reason', (page) => {
    const rows = [...(run[page] ?? []), ...(notRun[page] ?? [])];
    const units = unitsOf(page);
    expect(
      units
        .filter((unit) => !rows.some((row) => isAbout(row, unit)))
        .map(({ where, text }) => `${where}: ${text}`),
    ).toEqual([]);
    expect(rows.filter((row) => !units.some((unit) => isAbout(row, unit)))).toEqual([]);
  });

  test('a test that runs it reads the page', () => {
    const claims = Object.entries(run).flatMap(([page, rows]) => rows.map(([, by]) => ({ page, by })));
    const isIn = ({ page, by }: { page: string; by: string }): boolean =>
      readFileSync(join(root, by), 'utf8').includes(basename(page, '.md'));
    expect(claims.filter((claim) => !isIn(claim))).toEqual([]);
    const reasons = Object.values(notRun).flatMap((rows) => rows.map(([, why]) => why));
    const named = reasons.flatMap((why) => why.match(/[\w-]+\.test\.ts/g) ?? []);
    expect(named.filter((name) => !existsSync(join(root, 'test', name)))).toEqual([]);
    expect(Object.keys({ ...run, ...notRun }).filter((page) => !documentPages.includes(page))).toEqual([]);
  });

  test('a new line would be found', () => {
    const rows = [...run['docs/TUNING.md']!, ...notRun['docs/TUNING.md']!];
    const found = (text: string, language = 'sh') => rows.some((row) => isAbout(row, { text, language }));
    expect([found('sysctl --system'), found('sysctl --all'), found('engine: epoll', 'yaml')]).toEqual([
      true,
      false,
      false,
    ]);
  });
});

describe('links', () => {
  const links = documentPages.flatMap((page) =>
    [
      ...pageText(page)
        .replaceAll(/^( *)```[\s\S]*?^ *```$/gm, '')
        .matchAll(/\]\(([^)\s]+)\)|src="([^"]+)"/g),
    ].map(([, link, source]) => ({ page, link: (link ?? source)! })),
  );
  const own = links.filter(({ link }) => !/^https?:/.test(link));

  test('lead to files that are there, and to headings in them', () => {
    expect(own.length).toBeGreaterThan(60);
    const dead = own.filter(({ page, link }) => {
      const [file = '', anchor] = link.split('#');
      const target = file === '' ? page : join(dirname(page), file);
      if (!existsSync(join(root, target))) return true;
      return anchor !== undefined && !(target.endsWith('.md') && anchorsOf(target).includes(anchor));
    });
    expect(dead).toEqual([]);
  });

  test('a heading that is not there would be found', () => {
    expect(anchorsOf('docs/EDGE.md')).toContain('what-this-machine-must-be-able-to-do');
    expect(anchorsOf('docs/EDGE.md')).not.toContain('what-is-not-there');
  });
});

describe('files that are named', () => {
  test('in the project are there', () => {
    const named = documentPages.flatMap((page) =>
      spansOf(page)
        .filter(({ text }) =>
          /^(src|test|config|docs|bench|bin|systemd|packaging)\/[\w./@-]+\.\w+$/.test(text),
        )
        .map(({ line, text }) => ({ where: `${page}:${line}`, text })),
    );
    expect(named.length).toBeGreaterThan(15);
    const isThere = (file: string): boolean =>
      [file, `src/${file}`].some((one) => existsSync(join(root, one)));
    expect(named.filter(({ text }) => !isThere(text))).toEqual([]);
  });
});

/** Throws where a word is unknown, or one is missing. Does nothing. */
function parse(words: readonly string[]): void {
  const program = pinionProgram();
  const still = (command: typeof program): void => {
    command.exitOverride().configureOutput({ writeErr: () => {}, writeOut: () => {} });
    command.action(() => {});
    command.commands.forEach(still);
  };
  for (const command of program.commands) still(command as typeof program);
  program.exitOverride().configureOutput({ writeErr: () => {}, writeOut: () => {} });
  program.parse([...words], { from: 'user' });
}

const wordsOf = (line: string): string[] => line.split(/[ ]+/).filter((word) => word !== '');

describe('commands of pinion', () => {
  const program = pinionProgram();
  const commandNamed = (words: readonly string[]) =>
    words.reduce<typeof program | undefined>(
      (command, word) => command?.commands.find((one) => one.name() === word) as typeof program | undefined,
      program,
    );
  const written = documentPages.flatMap((page) => [
    ...spansOf(page).filter(({ text }) => /^(bin\/)?pinion(\.js)? /.test(text)),
    ...blocksOf(page).flatMap(({ language, line, text }) =>
      ['sh', 'console'].includes(language)
        ? text
            .split('\n')
            .map((one, i) => ({ page, line: line + i, text: commandIn(one).replace(/^sudo /, '') }))
            .filter((one) => /^(bin\/)?pinion(\.js)? /.test(one.text))
        : [],
    ),
  ]);

  test('in blocks and sentences are there, with their options', () => {
    expect(written.length).toBeGreaterThan(80);
    const wrong = written.flatMap(({ page, line, text }) => {
      const words = wordsOf(text.replace(/^\S+ /, '').replace(/ (&&|\||>) .*/, ''));
      // Named, and not written out.
      if (commandNamed(words) !== undefined) return [];
      try {
        parse(words);
      } catch (error) {
        if (!(error instanceof CommanderError)) throw error;
        // An option that is named, and not written out.
        if (error.code !== 'commander.optionMissingArgument' && error.exitCode !== 0)
          return [`${page}:${line}: ${text}: ${error.message}`];
      }
      return [];
    });
    expect(wrong).toEqual([]);
  });

  test('one that is not there would be found', () => {
    expect(() => parse(['pins', 'shift'])).toThrow(CommanderError);
    expect(() => parse(['drain', 'pg/pg1', '--gently'])).toThrow(CommanderError);
    expect(() => parse(['drain', 'pg/pg1', '--force'])).not.toThrow();
  });
});

test('scripts of npm are there, and the benchmark knows its options', () => {
  const { scripts } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')) as { scripts: object };
  const own = new Set(['start', 'test', ...Object.keys(scripts)]);
  const lines = documentPages
    .flatMap((page) => unitsOf(page).map(({ where, text }) => ({ where, text: text.replace(/^sudo /, '') })))
    .filter(({ text }) => /^npm /.test(text));
  expect(lines.length).toBeGreaterThan(20);
  const ofNpm = ['start', 'test', 'ci', 'pack', 'install', 'link'];
  for (const { where, text } of lines)
    for (const one of text.split(' && ').filter((part) => part.startsWith('npm '))) {
      const [, word = '', script = word] = wordsOf(one).filter((each) => !each.startsWith('-'));
      expect([where, word === 'run' ? own.has(script) : ofNpm.includes(word)]).toEqual([where, true]);
      const bench = /^npm run bench -- (.*)$/.exec(one)?.[1];
      if (bench !== undefined) expect(readOptions(wordsOf(bench.replace('DIR', root)))).toBeDefined();
    }
  for (const option of spansOf('docs/BENCHMARKS.md').filter(({ text }) => text.startsWith('--')))
    readOptions(
      wordsOf(
        option.text
          .replace('a,b', 'haproxy,nginx')
          .replace('WORK', 'requests')
          .replace(/\b[NM]\b/, '1')
          .replace('FILE', 'f.json')
          .replace('pinion-kernel', 'pinion-kernel --kernel'),
      ),
    );
});

describe('docs/ARCHITECTURE.md', () => {
  test('its row of options is one', () => {
    const text = blockWith('docs/ARCHITECTURE.md', '// in tcpOptions');
    const row = new Function('as', 'flag', `return {${text}}`)(as, flag) as Record<string, object>;
    expect(row).toEqual({ quickAck: expect.objectContaining({ key: 'quick_ack', scope: 'inet' }) });
  });

  test('what makes the reference anew are commands', () => {
    const line = commandOf('docs/ARCHITECTURE.md', 'npx tsc -p .');
    expect(line).toBe('npx tsc -p . && bin/pinion.js schema --markdown > docs/CONFIGURATION.md');
  });
});

// Not installed for the sake of a test: the package of a service manager changes more than it brings.
const analyze = findCommand('systemd-analyze');

describe.skipIf(analyze === undefined && process.env.CI !== 'true')('drop-ins of systemd', () => {
  const folder = temporaryFolder('drop-ins');

  /** What systemd says of a unit with a drop-in. */
  function verified(unit: string, dropIn: string, version = ''): { status: number | null; output: string } {
    expect(analyze, 'systemd-analyze is missing: install systemd').toBeDefined();
    const own = join(folder, `${unit}${version}-${readdirSync(folder).length}`);
    cpSync(join(root, 'systemd'), own, { recursive: true });
    // The command is where it is installed, and not here.
    for (const name of readdirSync(own)) {
      const text = readFileSync(join(own, name), 'utf8');
      writeFileSync(join(own, name), text.replaceAll('=pinion ', `=${process.execPath} `));
    }
    mkdirSync(join(own, `${unit}.d`));
    writeFileSync(join(own, `${unit}.d/override.conf`), dropIn);
    const { status, stdout, stderr } = spawnSync(analyze!, ['verify', '--man=no', join(own, unit)], {
      encoding: 'utf8',
    });
    return { status, output: stdout + stderr };
  }

  const install = pageText('docs/INSTALL.md');
  /** `Group=ops, PrivateUsers=yes` after a command. */
  const listed = (begins: string): string[] =>
    new RegExp(`^\\$ sudo ${begins} +# (.*)$`, 'm')
      .exec(install)![1]!
      .split(', ')
      .filter((one) => /[=\]]/.test(one));
  const reloads =
    /empty\n`ExecReload=`, which waits; before \(Debian 12\) `(ExecReload=)` and then `(ExecReload=[^`]*)`/.exec(
      install,
    )!;

  test.each<[string, string, () => string]>([
    ['pinion.service', 'docs/TUNING.md', () => blockWith('docs/TUNING.md', 'LimitNOFILE=')],
    ['pinion.service', 'docs/KERNEL.md', () => blockWith('docs/KERNEL.md', 'AmbientCapabilities=')],
    ['pinion.service', 'INSTALL: sockets', () => listed('systemctl edit pinion').join('\n')],
    [
      'pinion.socket',
      'INSTALL: addresses',
      () => ['[Socket]', ...listed('systemctl edit pinion\\.socket')].join('\n'),
    ],
    ['pinion.service', 'INSTALL: a group', () => `[Service]\n${/and `(Group=\w+)`/.exec(install)![1]!}`],
    [
      'pinion.service',
      'INSTALL: a password',
      () => `[Service]\n${/\| `(LoadCredential=\S+)` in the unit/.exec(install)![1]!}`,
    ],
    [
      'pinion.service',
      'INSTALL: reload by a signal',
      () => ['[Service]', reloads[1]!, reloads[2]!].join('\n'),
    ],
  ])('%s takes that of %s', (unit, _, text) => {
    expect(text().split('\n').length).toBeGreaterThan(1);
    expect(verified(unit, `${text()}\n`)).toEqual({ status: 0, output: '' });
  });

  test('keepalived.service takes that of docs/KERNEL.md', () => {
    const order = /by `(After=[^`]+)` in a drop-in/.exec(pageText('docs/KERNEL.md'))![1]!;
    expect(
      verified('pinion.service', `[Unit]\n${order.replace('pinion.service', 'network.target')}\n`),
    ).toEqual({
      status: 0,
      output: '',
    });
  });

  test('one with a mistake would be found', () => {
    expect(verified('pinion.service', '[Service]\nLimitNOFILES=1\n').output).toMatch(/LimitNOFILES/);
  });

  test('the units can be enabled', () => {
    const systemctl = findCommand('systemctl');
    expect(systemctl, 'systemctl is missing: install systemd').toBeDefined();
    const machine = temporaryFolder('machine');
    const units = join(machine, 'etc/systemd/system');
    cpSync(join(root, 'systemd'), units, { recursive: true });
    for (const begins of [
      'sudo systemctl enable --now pinion.socket',
      'sudo systemctl enable --now pinion',
    ]) {
      // Starts nothing: it makes links in this folder.
      const written = blocksOf('docs/INSTALL.md')
        .flatMap(({ text }) => text.split('\n').map(commandIn))
        .find((line) => line === begins)!;
      const args = wordsOf(written.replace('sudo systemctl', '').replace('--now', ''));
      const { status, stderr } = spawnSync(systemctl!, ['--root', machine, ...args], { encoding: 'utf8' });
      expect(status, stderr).toBe(0);
    }
    expect(readdirSync(join(units, 'sockets.target.wants'))).toEqual(['pinion.socket']);
    expect(readdirSync(join(units, 'multi-user.target.wants'))).toEqual(['pinion.service']);
  });
});

requirePackage('keepalived')('keepalived', () => {
  /** What it says of a file, on a host of its own with the two devices. */
  const judged = (text: string): { status: number | null; output: string } => {
    const file = temporaryFile('keepalived.conf', text);
    const devices = [
      'ip link add eth0 type veth peer name eth1',
      'ip link set eth0 up',
      'ip link set eth1 up',
    ];
    const asWritten = wordsOf(commandOf('docs/KEEPALIVED.md', 'keepalived -t')).slice(1);
    const line = [requireCommand('keepalived', 'keepalived'), ...asWritten, '-f', file];
    const [command, ...args] = [...namespaceWrapper(devices), ...line] as [string, ...string[]];
    const { status, stdout, stderr } = spawnSync(command, args, { encoding: 'utf8' });
    return { status, output: stdout + stderr };
  };

  test.each(['keepalived-lb1.conf', 'keepalived-lb2.conf'])('takes config/%s', (name) => {
    expect(judged(readFileSync(join(root, 'config', name), 'utf8'))).toEqual({ status: 0, output: '' });
  });

  test('takes that of docs/KERNEL.md, with what is global in the files of the recipe', () => {
    const common = /^global_defs \{\n[\s\S]*?^\}\n/m.exec(
      readFileSync(join(root, 'config/keepalived-lb1.conf'), 'utf8'),
    )![0];
    expect(judged(common + blockWith('docs/KERNEL.md', 'vrrp_script pinion_serves'))).toEqual({
      status: 0,
      output: '',
    });
  });

  test('the two files differ where they say that they do', () => {
    const [one, other] = [1, 2].map((i) =>
      readFileSync(join(root, `config/keepalived-lb${i}.conf`), 'utf8')
        .split('\n')
        .slice(1),
    );
    const differing = one!.flatMap((line, i) => (line === other![i] ? [] : [line.trim().replace(/ .*/, '')]));
    expect(differing.map((word) => word.replace(/^10\..*/, 'peer'))).toEqual([
      'router_id',
      'priority',
      'unicast_src_ip',
      'peer',
      'priority',
      'unicast_src_ip',
      'peer',
    ]);
    expect(commandOf('docs/KEEPALIVED.md', 'curl -f')).toBe('curl -f');
    expect(one!.join('\n')).toMatch(/curl -fs /);
  });
});

requirePackage('prometheus')('Prometheus', () => {
  test('takes what docs/MONITORING.md has for it', () => {
    const text = blockWith('docs/MONITORING.md', '# prometheus.yml');
    const file = temporaryFile('prometheus.yml', text.replace('/usr/share/doc/pinion', root));
    const { status, stdout, stderr } = spawnSync(
      requireCommand('prometheus', 'promtool'),
      ['check', 'config', file],
      {
        encoding: 'utf8',
      },
    );
    expect(stdout + stderr).toMatch(/SUCCESS: \d+ rules found/);
    expect(status, stderr).toBe(0);
  });
});
