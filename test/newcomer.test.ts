/**
 * Somebody who has the .deb and its documents, and nothing else: installs it, configures a PostgreSQL pool, watches it, drains a
 * backend from the page and from the shell, reloads, and reads why a connection ended. What is typed is what the documents in the
 * package say; a line that is not there fails. There is no service manager: what its unit starts is started here.
 */
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { connect, createServer } from 'node:net';
import { join } from 'node:path';
import type { Browser } from 'playwright-core';
import { afterAll, afterEach, expect, test } from 'vitest';
import { openPage, startBrowser } from './support/browser.ts';
import { buildDeb, debianRoot, dpkg } from './support/debian.ts';
import { freePort } from './support/ports.ts';
import { type Postgres, startPostgres } from './support/postgres.ts';
import { PostgresWriter } from './support/postgres-writer.ts';
import { type RunningProcess, startProcess, stopEverything } from './support/processes.ts';
import { requirePackage } from './support/require-package.ts';
import { temporaryFolder } from './support/temporary.ts';

const until = <Value>(read: () => Value) => expect.poll(read);
let browser: Browser | undefined;
let application: PostgresWriter | undefined;

afterEach(async () => {
  await application?.stop();
  await browser?.close();
});
afterAll(stopEverything);

/** The installed package, with a shell in which its command is on the PATH and its admin socket where it is. */
class Machine {
  readonly folder: string;
  readonly #env: NodeJS.ProcessEnv;

  constructor(folder: string) {
    this.folder = folder;
    this.#env = {
      PATH: `${join(folder, 'usr/bin')}:${process.env.PATH}`,
      PINION_ADMIN: `unix:${join(folder, 'run/pinion/admin.sock')}`,
    };
  }

  read(path: string): string {
    return readFileSync(join(this.folder, path), 'utf8');
  }

  /** Starts a command line that names files of this machine. */
  start(line: string): RunningProcess {
    const here = line.replaceAll(/(?<=[ :])\/(?=(etc|run)\/)/g, `${this.folder}/`);
    return startProcess({ command: 'sh', args: ['-c', `exec ${here}`], name: line, env: this.#env });
  }

  /** Does what a document says, `names` instead of its names. Returns what was said; the status has to be this one. */
  async follow(document: string, line: string, names: Names = {}, status = 0): Promise<string> {
    const text = this.read(`usr/share/doc/pinion/docs/${document}.md`);
    const lines = text.split('\n').map((one) => one.replace(/^(\$ )?(sudo )?/, '').replace(/ +# .*/, ''));
    expect(lines, `docs/${document}.md says so`).toContain(line);
    return this.say(
      line.replaceAll(/\bpg\d\b/g, (name) => names[name] ?? name),
      status,
    );
  }

  async say(line: string, status = 0): Promise<string> {
    const running = this.start(line);
    expect((await running.exited).code, `${line}: ${running.output()}`).toBe(status);
    return running.output();
  }
}

type Names = Readonly<Record<string, string>>;

/** The example as somebody would edit it for a database on two servers. */
function edited(example: string, machine: Machine, port: number, servers: readonly Postgres[]): string {
  const [one, two] = servers as [Postgres, Postgres];
  return example
    .replace(/^ {2}- name: arena\n( {4}.*\n)+/m, '')
    .replace(/^ {2}arena:\n( {4}.*\n)+/m, '')
    .replace('tcp://0.0.0.0:5432', `tcp://127.0.0.1:${port}`)
    .replace('10.0.0.11:5432', `127.0.0.1:${one.port}`)
    .replace('10.0.0.12:5432', `127.0.0.1:${two.port}`)
    .replace('type: tcp,', 'type: postgres, user: pinion,')
    .replace(/^metrics: .*\n/m, '')
    .replace('unix:/run', `unix:${machine.folder}/run`);
}

/** What `ssh -L PORT:SOCKET` does. */
async function forward(port: number, socket: string): Promise<() => void> {
  const server = createServer((near) => {
    const far = connect(socket);
    near.on('error', () => far.destroy()).on('close', () => far.destroy());
    far.on('error', () => near.destroy()).on('close', () => near.destroy());
    near.pipe(far).pipe(near);
  });
  await new Promise<void>((resolve) => server.listen(port, 'localhost', resolve));
  return () => server.close();
}

/** The line of the unit that begins so. */
function unitLine(machine: Machine, key: string): string {
  const unit = machine.read('usr/lib/systemd/system/pinion.service');
  return new RegExp(`^${key}=(.*)$`, 'm').exec(unit)![1]!;
}

if (dpkg === undefined && process.env.CI === 'true') throw new Error('dpkg-deb is missing: install dpkg');

requirePackage('postgres', 'chromium')('with the .deb and its documents alone', () => {
  test.skipIf(dpkg === undefined)(
    'install, configure, watch, drain, reload, and read why it ended',
    async () => {
      const servers = Promise.all([startPostgres(), startPostgres()]);
      const debian = debianRoot('20.19.2');
      const installed = debian.call('--install', buildDeb('1.0', temporaryFolder('packages')));
      expect(installed.status, installed.output).toBe(0);
      const machine = new Machine(debian.folder);
      const databases = await servers;
      for (const one of databases)
        await one.query('create table t (writer int, row int, primary key (writer, row))');

      // Configures. A slip is told with its place and what was meant.
      const file = join(machine.folder, 'etc/pinion/pinion.yaml');
      const port = await freePort();
      const own = edited(readFileSync(file, 'utf8'), machine, port, databases);
      const check = 'pinion check /etc/pinion/pinion.yaml';
      writeFileSync(file, own.replace('pool: pg', 'pool: pgg'));
      expect(await machine.follow('INSTALL', check, {}, 1)).toMatch(
        /pinion\.yaml:\d+:\d+: listeners\[0\]\.pool: .*pgg.*\bpg\b/,
      );
      writeFileSync(file, own);
      await machine.follow('INSTALL', check);
      mkdirSync(join(machine.folder, 'run', unitLine(machine, 'RuntimeDirectory')), { recursive: true });
      const pinion = machine.start(unitLine(machine, 'ExecStart'));
      await pinion.waitForOutput(/"event":"ready"/);

      // Watches.
      await until(() => machine.follow('INSTALL', 'pinion status')).toMatch(
        /READY[\s\S]*^postgres +tcp[\s\S]*^pg\/pg1 +UP[\s\S]*^pg\/pg2 +UP/m,
      );
      const writer = new PostgresWriter(port, 1, '127.0.0.1');
      application = writer;
      await until(() => writer.written.length).toBeGreaterThan(2);
      const explain = 'pinion explain --listener postgres --client 127.0.0.1';
      const said = await machine.follow('OPERATING', explain);
      const home = /\b(pg[12])\b/.exec(said)![1]!;
      const other = home === 'pg1' ? 'pg2' : 'pg1';
      const names = { pg1: home, pg2: other };
      const portOf = (name: string) => databases[Number(name.slice(2)) - 1]!.port;
      expect(new Set(writer.written.map(({ by }) => by))).toEqual(new Set([portOf(home)]));
      expect(await machine.follow('OPERATING', 'pinion connections')).toMatch(
        new RegExp(`^127\\.0\\.0\\.1:\\d+ +postgres +pg/${home} `, 'm'),
      );

      // Drains from the page, opened as docs/DASHBOARD.md says for a unix socket.
      const pagePort = await freePort();
      const closeForward = await forward(pagePort, join(machine.folder, 'run/pinion/admin.sock'));
      browser = await startBrowser();
      const { page, complaints } = await openPage(browser, `http://localhost:${pagePort}/`);
      const row = (name: string) => page.getByRole('row', { name: new RegExp(`^${name} `) });
      await until(() => row(home).innerText()).toContain('up');
      await page.getByRole('button', { name: `What to do with ${home}` }).click();
      await page.getByRole('button', { name: /^Drain/ }).click();
      await until(() => page.locator('.preview').innerText()).toContain(`${other} 100 %`);
      await page.getByRole('button', { name: 'Drain', exact: true }).click();
      await until(() => row(home).innerText()).toContain('draining');
      const atDrain = writer.written.length;
      await until(() => writer.written.length).toBeGreaterThan(atDrain + 2);
      expect(writer.losses, 'a drain ends no session').toEqual([]);
      expect(await machine.say(explain.replace('127.0.0.1', '127.0.0.9'))).toMatch(
        new RegExp(`\\b${other}\\b`),
      );

      // And from the shell, which the page shows.
      await machine.follow('OPERATING', 'pinion undrain pg/pg1', names);
      await until(() => row(home).innerText()).toContain('up');
      expect(await machine.follow('OPERATING', 'pinion drain pg/pg1 --dry-run', names)).toMatch(
        /^1 pinned client and 1 flow stay\. .*\bNothing was changed\.$/ms,
      );
      await machine.follow('OPERATING', 'pinion drain pg/pg1', names);
      expect(await machine.follow('OPERATING', 'pinion backends --down')).toMatch(
        new RegExp(`^pg/${home} +DRAINING .* an operator drains it`, 'm'),
      );
      await until(() => row(home).innerText()).toContain('draining');
      expect(complaints).toEqual([]);
      closeForward();

      // Reloads: what is wrong changes nothing, what is right says first whom it ends.
      const reload = unitLine(machine, 'ExecReload');
      writeFileSync(file, own.replace('policy: maglev', 'policy: maglv'));
      expect(await machine.say(reload, 1)).toMatch(/pinion\.yaml:\d+:\d+: .*policy.*did you mean "?maglev/);
      writeFileSync(file, own.replace(new RegExp(`^.*name: ${home}.*\n`, 'm'), ''));
      expect(await machine.follow('OPERATING', 'pinion reload --dry-run')).toMatch(
        new RegExp(`- backend pg/${home}\\n.*1 (open )?flow`),
      );
      expect(writer.losses).toEqual([]);
      await machine.say(reload);
      await until(() => writer.written.at(-1)!.by).toBe(portOf(other));

      // Why did it end? The log has the sentence and the code, the command the count, and a document the meaning.
      const ended = await pinion.waitForOutput(/\{.*"event":"flow".*\}/);
      const { code, msg, backend } = JSON.parse(ended[0]) as Record<string, string>;
      expect({ code, backend }).toEqual({ code: 'backend-removed', backend: home });
      expect(msg).toContain('backend-removed');
      expect(await machine.follow('OPERATING', 'pinion listeners')).toMatch(/backend-removed/);
      expect(machine.read('usr/share/doc/pinion/docs/TROUBLESHOOTING.md')).toMatch(
        /^\| .*`backend-removed`.* \| a reload, /m,
      );
      await writer.stop();
      expect(await pinion.stop()).toEqual({ code: 0, signal: null });
    },
  );
});
