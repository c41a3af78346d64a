/** How people get pinion: from npm's package, and from Debian's, in folders of their own. No service manager, and nothing of this system is touched. */
import { execFileSync } from 'node:child_process';
import { cpSync, existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterEach, describe, expect, test } from 'vitest';
import { decideEngine } from '../src/engine/select.ts';
import { askTcp } from './support/clients.ts';
import { admin, backendsOf, configText, listener, noCheck } from './support/config.ts';
import { buildDeb, debianRoot, dpkg, run } from './support/debian.ts';
import { commandOf, pageText } from './support/documents.ts';
import { findCommand } from './support/packages.ts';
import { startPinion } from './support/pinion.ts';
import { freePort } from './support/ports.ts';
import { stopEverything } from './support/processes.ts';
import { namedTcp, stopServers } from './support/servers.ts';
import { temporaryFolder } from './support/temporary.ts';

const root = fileURLToPath(new URL('..', import.meta.url));

afterEach(async () => {
  await stopEverything();
  await stopServers();
});

/** A configuration an operator would have: one server, and its own admin address. */
async function ownConfig(): Promise<string> {
  return configText({
    listeners: [listener('front', 'tcp', 'pool')],
    pools: { pool: { health: noCheck, backends: backendsOf(await namedTcp(['a'])) } },
    cluster: { name: 'installed', redis: `redis://127.0.0.1:${await freePort()}` },
  });
}

/** It serves from there: with its own modules, as the user would start it. */
async function serves(main: string, config: string): Promise<void> {
  const pinion = await startPinion(config, { main });
  // Nothing that a library needs was left out: it has the faster engine, and Redis's client finds out that nobody is there.
  expect(pinion.events('starting')).toMatchObject([{ engine: (await decideEngine('auto')).engine }]);
  expect(await pinion.waitForLog(({ event }) => event === 'cluster-away')).toMatchObject({
    message: expect.stringContaining('ECONNREFUSED'),
  });
  expect(await askTcp(pinion.port('front'))).toBe('a');
  expect((await admin(pinion, 'GET', '/status')).status).toBe(200);
  expect(await pinion.stop()).toEqual({ code: 0, signal: null });
}

describe('the package of npm', () => {
  test('has what runs and what is read, and installs into a prefix', async () => {
    const folder = temporaryFolder('npm');
    const packed = execFileSync('npm', ['pack', '--json', '--ignore-scripts', '--pack-destination', folder], {
      cwd: root,
      encoding: 'utf8',
    });
    const [{ filename, files }] = JSON.parse(packed) as [{ filename: string; files: { path: string }[] }];
    const paths = files.map(({ path }) => path);
    expect(
      paths.filter((path) => /\.test\.|\.map$|golden|conformance|^(test|src|bench)\//.test(path)),
    ).toEqual([]);
    for (const needed of [
      'bin/pinion.js',
      'dist/src/main.js',
      'CHANGELOG.md',
      'config/demo.yaml',
      'docs/INSTALL.md',
    ])
      expect(paths).toContain(needed);
    // README's links lead somewhere there too.
    const links = [...readFileSync(join(root, 'README.md'), 'utf8').matchAll(/\]\((?!https?:|#)([^)#]+)/g)];
    const missing = links.map((match) => match[1]!).filter((path) => !paths.includes(path));
    expect(missing.filter((path) => path !== 'CONTRIBUTING.md')).toEqual([]);

    const tarball = join(folder, filename);
    const prefix = join(folder, 'prefix');
    const args = ['install', '--global', '--prefix', prefix, '--prefer-offline', '--ignore-scripts', tarball];
    const installed = run('npm', [...args, '--loglevel=error']);
    expect(installed.status, installed.output).toBe(0);
    const command = join(prefix, 'bin/pinion');
    expect(run(command, ['--version']).output).toMatch(/^\d+\.\d+\.\d+\n$/);
    await serves(command, await ownConfig());

    // What docs/INSTALL.md has one do: the same names and options, and then its units and its example.
    const [pack, install] = ['npm ci', 'sudo npm install --global'].map((begins) =>
      commandOf('docs/INSTALL.md', begins),
    );
    expect(pack).toBe('npm ci --ignore-scripts && npm run build && npm pack');
    expect(install).toBe(`sudo npm install --global --ignore-scripts ./${filename}`);
    const machine = join(folder, 'machine');
    mkdirSync(join(machine, 'etc/systemd/system'), { recursive: true });
    for (const begins of ['sudo cp ', 'sudo mkdir ']) {
      const line = commandOf('docs/INSTALL.md', begins)
        .replaceAll('sudo ', '')
        .replaceAll(' /etc/', ` ${machine}/etc/`);
      const copied = run('sh', ['-c', line], { ...process.env, npm_config_prefix: prefix });
      expect({ line, ...copied }).toEqual({ line, status: 0, output: '' });
    }
    expect(readdirSync(join(machine, 'etc/systemd/system')).sort()).toEqual([
      'pinion.service',
      'pinion.socket',
      'pinion@.service',
    ]);
    expect(run(command, ['check', join(machine, 'etc/pinion/pinion.yaml')]).status).toBe(0);
  }, 300_000);

  test('and a checkout that is not built, or lacks its libraries, says what to do', () => {
    const folder = temporaryFolder('checkout');
    for (const path of ['bin', 'package.json'])
      cpSync(join(root, path), join(folder, path), { recursive: true });
    const command = join(folder, 'bin/pinion.js');
    expect(run(command, ['check', 'x.yaml'])).toEqual({
      status: 1,
      output: `pinion: is not built yet. In ${folder}/ run: npm ci --ignore-scripts && npm run build\n`,
    });
    mkdirSync(join(folder, 'dist/src'), { recursive: true });
    writeFileSync(join(folder, 'dist/src/main.js'), "import 'commander';\n");
    expect(run(command, ['check', 'x.yaml'])).toEqual({
      status: 1,
      output: `pinion: misses a dependency (Cannot find package 'commander'). In ${folder}/ run: npm ci --ignore-scripts\n`,
    });
    // What is missing of its own is a defect, with all that Node says of it.
    writeFileSync(join(folder, 'dist/src/main.js'), "import './cli/x.js';\n");
    expect(run(command, ['check', 'x.yaml']).output).toMatch(/Cannot find module .*\n +at /s);
  });

  test('npm start builds nothing for who may not write there, and runs what is built', () => {
    const folder = temporaryFolder('foreign');
    for (const path of ['bin', 'package.json'])
      cpSync(join(root, path), join(folder, path), { recursive: true });
    execFileSync('chmod', ['--recursive', 'a+rX,a-w', folder]);
    // Root may write anywhere.
    const user =
      process.getuid?.() === 0 ? ['setpriv', '--reuid=65534', '--regid=65534', '--clear-groups'] : [];
    const line = [...user, 'npm', '--prefix', folder, 'start'];
    const [command, ...args] = line as unknown as [string, ...string[]];
    const { status, output } = run(command, args, {
      ...process.env,
      HOME: '/nonexistent',
      npm_config_cache: '/nonexistent',
    });
    execFileSync('chmod', ['--recursive', 'u+w', folder]);
    expect({ status, output }).toMatchObject({
      status: 1,
      output: expect.stringMatching(/is not built yet/),
    });
    expect(output).not.toMatch(/chmod|EACCES.*dist/);
  });
});

test('the recipe of the container copies what there is, and asks itself whether it is ready', () => {
  const text = readFileSync(join(root, 'Containerfile'), 'utf8');
  const sources = [...text.matchAll(/^COPY (?!--from)(.*) \S+$/gm)].flatMap((match) => match[1]!.split(' '));
  expect(sources.length).toBeGreaterThan(5);
  expect(sources.filter((path) => !existsSync(join(root, path)))).toEqual([]);
  expect(text).toMatch(/^USER (?!0)\d+:\d+$/m);
  const asked = JSON.parse(/^HEALTHCHECK .*CMD (.*)$/m.exec(text)![1]!) as string[];
  // Nobody answers here: a command line that is right says so.
  const { status, output } = run(join(root, 'bin/pinion.js'), [
    ...asked.slice(1),
    '--admin',
    'unix:/nonexistent/a',
  ]);
  expect({ status, output }).toEqual({ status: 1, output: expect.stringMatching(/^not ready: /) });
});

describe.skipIf(dpkg === undefined && process.env.CI !== 'true')('the package of Debian', () => {
  /** The same package, as a later version of it. */
  function later(version: string, deb: string): string {
    const folder = `${deb}.files`;
    const output = deb.replace('1.0', version);
    execFileSync('dpkg-deb', ['--raw-extract', deb, folder]);
    for (const file of ['DEBIAN/control', 'usr/lib/pinion/package.json']) {
      const path = join(folder, file);
      writeFileSync(path, readFileSync(path, 'utf8').replace(/(version"?: "?)1\.0/i, `$1${version}`));
    }
    execFileSync('dpkg-deb', ['--root-owner-group', '-Znone', '--build', folder, output]);
    return output;
  }

  /** Files, from the root. */
  const filesIn = (folder: string): string[] =>
    readdirSync(folder, { recursive: true, withFileTypes: true })
      .filter((entry) => !entry.isDirectory())
      .map((entry) => join(entry.parentPath, entry.name).slice(folder.length))
      .filter((path) => !path.startsWith('/var/'));

  test('is installed, started, upgraded with a changed configuration, and purged', async () => {
    expect(dpkg, 'dpkg-deb is missing: install dpkg').toBeDefined();
    const first = buildDeb('1.0', temporaryFolder('packages'));
    const { folder, call, status } = debianRoot('18.19.0');
    const old = call('--install', first);
    expect(old.status, old.output).toBe(1);
    expect(old.output).toMatch(/depends on nodejs \(>= 20\.19\)/);
    status('18.19.0', '20.19.2+dfsg-1');

    // By the name that `npm run package` gives it; apt-get says what it would do, and does nothing.
    const { version } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')) as { version: string };
    const file = `./dist/pinion_${version}_amd64.deb`;
    expect(commandOf('docs/INSTALL.md', 'sudo apt-get install ./')).toBe(`sudo apt-get install ${file}`);
    expect(pageText('docs/INSTALL.md')).toMatch(
      new RegExp(
        `^\\$ ${commandOf('docs/INSTALL.md', 'npm run package')} +# .* makes ${file.slice(2)}$`,
        'm',
      ),
    );
    if (findCommand('apt-get') !== undefined) {
      const state = ['-o', `Dir::State::status=${join(folder, 'var/lib/dpkg/status')}`];
      const simulated = run('apt-get', ['--simulate', '--no-install-recommends', ...state, 'install', first]);
      expect(simulated, simulated.output).toMatchObject({ status: 0 });
      expect(simulated.output).toMatch(/^(Inst|Conf) pinion \(1\.0 /m);
    }
    const installed = call('--install', first);
    expect(installed.status, installed.output).toBe(0);
    for (const path of [
      'usr/lib/systemd/system/pinion.service',
      'usr/lib/systemd/system/pinion@.service',
      'usr/lib/systemd/system/pinion.socket',
      'usr/share/man/man1/pinion.1.gz',
      'usr/share/bash-completion/completions/pinion',
      'usr/share/doc/pinion/docs/INSTALL.md',
    ])
      expect(existsSync(join(folder, path)), path).toBe(true);
    const command = join(folder, 'usr/bin/pinion');
    const example = join(folder, 'etc/pinion/pinion.yaml');
    expect(run(command, ['--version']).output).toBe('1.0\n');
    expect(run(command, ['check', example]).status).toBe(0);
    const own = await ownConfig();
    writeFileSync(example, own);
    await serves(command, example);

    const upgraded = call('--install', later('1.1', first));
    expect(upgraded.status, upgraded.output).toBe(0);
    expect(run(command, ['--version']).output).toBe('1.1\n');
    expect(readFileSync(example, 'utf8'), 'what the operator wrote stays').toBe(own);
    await serves(command, example);

    expect(call('--remove', 'pinion').status).toBe(0);
    expect(filesIn(folder)).toEqual(['/etc/pinion/pinion.yaml']);
    const purged = call('--purge', 'pinion');
    expect(purged.status, purged.output).toBe(0);
    expect(filesIn(folder)).toEqual([]);
  }, 300_000);
});
