/**
 * `npm run package`: the Debian package, for Debian 12 and 13, into dist/pinion_VERSION_ARCH.deb. What `npm pack` would ship goes to
 * /usr/lib/pinion with the libraries it needs, as package-lock.json has them; Node.js comes from the system (Depends). Made of what is built
 * and installed here, so that it needs no network. Owners are root's whoever runs it, and times those of the newest source
 * (SOURCE_DATE_EPOCH if set): the same files give the same package.
 */
import { execFileSync } from 'node:child_process';
import {
  chmodSync,
  cpSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { gzipSync } from 'node:zlib';

// dist/packaging/deb.js is two folders below the project.
const root = fileURLToPath(new URL('../..', import.meta.url));

const { values } = parseArgs({
  options: { version: { type: 'string' }, output: { type: 'string' }, compression: { type: 'string' } },
});
const manifest = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')) as { version: string };
const version = values.version ?? manifest.version;
const architecture = execFileSync('dpkg', ['--print-architecture'], { encoding: 'utf8' }).trim();
const output = values.output ?? join(root, 'dist', `pinion_${version}_${architecture}.deb`);

const home = 'usr/lib/pinion';
const documents = 'usr/share/doc/pinion';
const units = 'usr/lib/systemd/system';

/** Of libraries: nothing that runs reads it. */
const isIdle = (path: string): boolean =>
  /\.(map|d\.[cm]?ts|cc|hh|inc|S|asm)$|\/zod\/src(\/|$)|\/koffi\/(doc|lib|vendor|src\/koffi\/(src\/abi|cmake))(\/|$)|\/koffi-linux-\w+\/musl_|\/hono\/dist\/(cjs|types)(\/|$)|\/@opentelemetry\/api\/build\/esm|\/(test|tests|__tests__|benchmarks?)(\/|$)/.test(
    path,
  );

const files = packedFiles();
const stage = mkdtempSync(join(tmpdir(), 'pinion-deb-'));
try {
  copyProgram();
  copyLibraries();
  copyDocuments();
  writeGenerated();
  writeControl();
  // Whatever the umask of this checkout was: the service is none of its owners.
  execFileSync('chmod', ['--recursive', 'u=rwX,go=rX', stage]);
  const arguments_ = ['--root-owner-group', `-Z${values.compression ?? 'xz'}`, '--build', stage, output];
  execFileSync('dpkg-deb', arguments_, {
    env: { ...process.env, SOURCE_DATE_EPOCH: sourceDate() },
    stdio: 'inherit',
  });
} finally {
  rmSync(stage, { recursive: true, force: true });
}

/** The files of the npm package, from the project's folder. */
function packedFiles(): string[] {
  const args = ['pack', '--dry-run', '--json', '--ignore-scripts', '--loglevel=error'];
  const [packed] = JSON.parse(execFileSync('npm', args, { cwd: root, encoding: 'utf8' })) as [
    { files: { path: string }[] },
  ];
  return packed.files.map(({ path }) => path);
}

function copyProgram(): void {
  for (const path of files) {
    if (/^(bin|dist)\//.test(path) || path === 'config/demo.yaml') copy(path, `${home}/${path}`);
    if (/^systemd\/.*\.(service|socket)$/.test(path)) copy(path, `${units}/${basename(path)}`);
  }
  write(`${home}/package.json`, `${JSON.stringify({ ...manifest, version }, null, 2)}\n`);
  chmodSync(at(`${home}/bin/pinion.js`), 0o755);
  mkdirSync(at('usr/bin'), { recursive: true });
  symlinkSync('../lib/pinion/bin/pinion.js', at('usr/bin/pinion'));
}

function copyLibraries(): void {
  const lock = JSON.parse(readFileSync(join(root, 'package-lock.json'), 'utf8')) as {
    packages: Record<string, { dev?: boolean; devOptional?: boolean; optional?: boolean }>;
  };
  for (const [path, { dev, devOptional, optional }] of Object.entries(lock.packages)) {
    if (path === '' || dev === true || devOptional === true) continue;
    try {
      copy(path, `${home}/${path}`);
    } catch (error) {
      // One of those that are for other systems.
      if (optional !== true || (error as NodeJS.ErrnoException).code !== 'ENOENT') throw error;
    }
  }
}

function copyDocuments(): void {
  for (const path of files)
    if (/^(docs|config)\/|^README\.md$/.test(path)) copy(path, `${documents}/${path}`);
  write(`${documents}/changelog.gz`, gzipSync(readFileSync(join(root, 'CHANGELOG.md')), { level: 9 }));
  copy('LICENSE', `${documents}/copyright`);
  copy('config/pinion.yaml', 'etc/pinion/pinion.yaml');
}

/** What the command tells of itself. */
function writeGenerated(): void {
  const say = (...args: string[]): string =>
    execFileSync(process.execPath, [join(root, 'bin/pinion.js'), ...args], { encoding: 'utf8' });
  write('usr/share/man/man1/pinion.1.gz', gzipSync(say('man'), { level: 9 }));
  write('usr/share/bash-completion/completions/pinion', say('completion', 'bash'));
  write('usr/share/zsh/vendor-completions/_pinion', say('completion', 'zsh'));
  write('usr/share/fish/vendor_completions.d/pinion.fish', say('completion', 'fish'));
}

function writeControl(): void {
  const size = execFileSync('du', ['--summarize', '--apparent-size', '--block-size=1K', stage], {
    encoding: 'utf8',
  });
  write(
    'DEBIAN/control',
    `Package: pinion
Version: ${version}
Architecture: ${architecture}
Maintainer: the pinion authors <pinion@localhost>
Installed-Size: ${Number.parseInt(size, 10)}
Depends: nodejs (>= 20.19)
Suggests: redis-server | valkey-server, prometheus
Section: net
Priority: optional
Description: TCP and UDP load balancer that pins every client to its backend
 Layer-4 load balancer for databases and game servers: clients reach the backend
 they had before, chosen by consistent hashing and remembered in a pin table that
 two instances share over Redis. Health checks that speak each server's protocol,
 drains, metrics, and a reason for the end of each connection.
`,
  );
  write('DEBIAN/conffiles', '/etc/pinion/pinion.yaml\n');
  for (const script of ['postinst', 'prerm', 'postrm']) {
    copy(`packaging/debian/${script}`, `DEBIAN/${script}`);
    chmodSync(at(`DEBIAN/${script}`), 0o755);
  }
}

function sourceDate(): string {
  if (process.env.SOURCE_DATE_EPOCH !== undefined) return process.env.SOURCE_DATE_EPOCH;
  try {
    return execFileSync('git', ['log', '-1', '--format=%ct'], { cwd: root, encoding: 'utf8' }).trim();
  } catch {
    return String(Math.floor(Date.now() / 1_000));
  }
}

function at(path: string): string {
  return join(stage, path);
}

function write(path: string, data: string | Buffer): void {
  mkdirSync(dirname(at(path)), { recursive: true });
  writeFileSync(at(path), data, { mode: 0o644 });
}

/** A file, or a folder with all that is of use in it. */
function copy(from: string, to: string): void {
  mkdirSync(dirname(at(to)), { recursive: true });
  cpSync(join(root, from), at(to), { recursive: true, filter: (path) => !isIdle(path.slice(root.length)) });
}
