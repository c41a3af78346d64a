/**
 * Debian's package of pinion, and a root to install it into: nothing of this machine is touched, and no service manager runs there.
 */
import { execFileSync, spawnSync } from 'node:child_process';
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { findCommand } from './packages.ts';
import { temporaryFolder } from './temporary.ts';

/** dpkg, where it and what makes packages are here. */
export const dpkg = findCommand('dpkg-deb') === undefined ? undefined : findCommand('dpkg');

const root = fileURLToPath(new URL('../..', import.meta.url));

export interface Ran {
  readonly status: number | null;
  /** Both streams. */
  readonly output: string;
}

/** Runs a command in the project's folder, to its end. */
export function run(command: string, args: readonly string[], env: NodeJS.ProcessEnv = process.env): Ran {
  const { status, stdout, stderr } = spawnSync(command, args, { cwd: root, env, encoding: 'utf8' });
  return { status, output: `${stdout}${stderr}` };
}

export interface DebianRoot {
  readonly folder: string;
  /** dpkg, in that root. */
  call(...args: string[]): Ran;
  /** Says that another version of Node.js is installed. */
  status(from: string, to: string): void;
}

/** A root where nothing but Node.js is said to be installed. */
export function debianRoot(nodeVersion: string): DebianRoot {
  const folder = temporaryFolder('debian');
  const state = join(folder, 'var/lib/dpkg');
  for (const path of ['info', 'updates', 'triggers']) mkdirSync(join(state, path), { recursive: true });
  const architecture = execFileSync('dpkg', ['--print-architecture'], { encoding: 'utf8' }).trim();
  const file = join(state, 'status');
  const stub = [
    'Status: install ok installed',
    'Maintainer: x <x@localhost>',
    `Architecture: ${architecture}`,
  ];
  writeFileSync(file, `Package: nodejs\n${stub.join('\n')}\nVersion: ${nodeVersion}\nDescription: x\n`);
  const status = (from: string, to: string): void =>
    writeFileSync(file, readFileSync(file, 'utf8').replace(`Version: ${from}`, `Version: ${to}`));
  const isRoot = process.getuid?.() === 0;
  const path = `${process.env.PATH}:/usr/sbin:/sbin`;
  /** Maintainer scripts run here, with DPKG_ROOT: there is no shell in that root. */
  const call = (...args: string[]): Ran => {
    const line = [
      'dpkg',
      `--root=${folder}`,
      '--force-script-chrootless',
      '--force-confdef',
      '--force-unsafe-io',
      '--log=/dev/null',
      ...args,
    ];
    const [command, ...rest] = [...(isRoot ? [] : ['unshare', '--user', '--map-root-user']), ...line] as [
      string,
      ...string[],
    ];
    return run(command, rest, { ...process.env, PATH: path, DEBIAN_FRONTEND: 'noninteractive' });
  };
  return { folder, call, status };
}

/** Makes the package, quickly and large. Returns its path. Throws what was said when it cannot be made. */
export function buildDeb(version: string, folder: string): string {
  const output = join(folder, `pinion_${version}.deb`);
  const args = ['--version', version, '--output', output, '--compression', 'none'];
  const built = run(process.execPath, [join(root, 'dist/packaging/deb.js'), ...args]);
  if (built.status !== 0) throw new Error(built.output);
  return output;
}
