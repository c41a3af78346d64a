/**
 * Which Debian package gives which real server, whether it is here, and how to get it.
 *
 * Tests run against the servers people run. As root on Debian the missing ones are installed; nothing they
 * bring is started by the installation (policy-rc.d says no for its duration), tests start their own.
 */
import { spawnSync } from 'node:child_process';
import {
  accessSync,
  chmodSync,
  constants,
  existsSync,
  readdirSync,
  renameSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { delimiter, join } from 'node:path';

interface ServerPackage {
  readonly debian: readonly string[];
  /** Commands, or absolute paths, that must all be there. */
  readonly needs: readonly string[];
}

export const serverPackages = {
  redis: { debian: ['redis-server'], needs: ['redis-server', 'redis-cli'] },
  haproxy: { debian: ['haproxy'], needs: ['haproxy'] },
  nginx: {
    debian: ['nginx', 'libnginx-mod-stream'],
    needs: ['nginx', '/usr/lib/nginx/modules/ngx_stream_module.so'],
  },
  postgres: {
    debian: ['postgresql', 'postgresql-contrib'],
    needs: ['initdb', 'postgres', 'psql', 'pgbench'],
  },
  mariadb: {
    debian: ['mariadb-server'],
    needs: ['mariadbd', 'mariadb-install-db', 'mariadb', '/usr/lib/galera/libgalera_smm.so'],
  },
  dnsmasq: { debian: ['dnsmasq-base'], needs: ['dnsmasq'] },
  dnsdist: { debian: ['dnsdist'], needs: ['dnsdist'] },
  keepalived: { debian: ['keepalived'], needs: ['keepalived'] },
  qstat: { debian: ['qstat'], needs: ['quakestat'] },
  curl: { debian: ['curl'], needs: ['/usr/bin/curl'] },
  iperf3: { debian: ['iperf3'], needs: ['iperf3'] },
  nftables: { debian: ['nftables'], needs: ['nft'] },
  prometheus: { debian: ['prometheus'], needs: ['promtool'] },
  iproute2: { debian: ['iproute2'], needs: ['ip'] },
  shells: { debian: ['zsh', 'fish'], needs: ['zsh', 'fish'] },
  netcat: { debian: ['netcat-openbsd'], needs: ['nc.openbsd'] },
  chromium: { debian: ['chromium'], needs: ['chromium'] },
  quic: { debian: ['ngtcp2-client', 'ngtcp2-server'], needs: ['gtlsclient', 'gtlsserver'] },
} as const satisfies Record<string, ServerPackage>;

export type ServerName = keyof typeof serverPackages;

/** Where a command may be: PATH, the folders a user's PATH leaves out, PostgreSQL's own (newest first). */
function searchFolders(): string[] {
  const folders = (process.env.PATH ?? '').split(delimiter);
  folders.push('/usr/local/sbin', '/usr/local/bin', '/usr/sbin', '/usr/bin', '/sbin', '/bin');
  const postgres = '/usr/lib/postgresql';
  if (existsSync(postgres)) {
    const versions = readdirSync(postgres).sort((a, b) => Number(b) - Number(a));
    folders.unshift(...versions.map((version) => join(postgres, version, 'bin')));
  }
  return folders;
}

/** The absolute path of a command, or undefined. A name that begins with `/` is only checked. */
export function findCommand(command: string): string | undefined {
  if (command.startsWith('/')) return existsSync(command) ? command : undefined;
  return searchFolders()
    .map((folder) => join(folder, command))
    .find((path) => {
      try {
        accessSync(path, constants.X_OK);
        return true;
      } catch {
        return false;
      }
    });
}

/** As findCommand; throws with the package to install when it is not here. */
export function requireCommand(server: ServerName, command: string): string {
  const path = findCommand(command);
  if (path === undefined) {
    throw new Error(`${command} is missing: install ${serverPackages[server].debian.join(' ')}`);
  }
  return path;
}

/** Whether everything a server's tests need is installed. */
export function isInstalled(name: ServerName): boolean {
  return serverPackages[name].needs.every((command) => findCommand(command) !== undefined);
}

export function missingPackages(): ServerName[] {
  return (Object.keys(serverPackages) as ServerName[]).filter((name) => !isInstalled(name));
}

const policyPath = '/usr/sbin/policy-rc.d';
const savedPolicyPath = `${policyPath}.saved-by-pinion-tests`;

/** Runs `install` while invoke-rc.d refuses every action (exit 101); puts back what was there. */
function withServicesRefused(install: () => void): void {
  // One of an earlier run that was killed half-way is the original.
  if (existsSync(policyPath) && !existsSync(savedPolicyPath)) renameSync(policyPath, savedPolicyPath);
  const hold = (): void => {}; // Ctrl-C ends apt-get; we still have to put the policy back.
  process.on('SIGINT', hold).on('SIGTERM', hold);
  try {
    writeFileSync(policyPath, '#!/bin/sh\nexit 101\n');
    chmodSync(policyPath, 0o755);
    install();
  } finally {
    rmSync(policyPath, { force: true });
    if (existsSync(savedPolicyPath)) renameSync(savedPolicyPath, policyPath);
    process.off('SIGINT', hold).off('SIGTERM', hold);
  }
}

function aptGet(args: readonly string[]): boolean {
  const env = { ...process.env, DEBIAN_FRONTEND: 'noninteractive', RUNLEVEL: '1' };
  // A lock held by another apt run is waited for, not an error.
  const result = spawnSync('apt-get', ['-o', 'DPkg::Lock::Timeout=300', '-qq', ...args], {
    env,
    stdio: ['ignore', 'ignore', 'inherit'],
  });
  return result.status === 0;
}

/**
 * Installs what is missing when we are root and apt-get is here; says what is missing afterwards. Never
 * throws because of a failed installation: the tests that need the package decide what its absence means.
 */
export async function ensurePackages(): Promise<{ readonly missing: readonly ServerName[] }> {
  const wanted = missingPackages();
  if (wanted.length > 0 && process.getuid?.() === 0 && findCommand('apt-get') !== undefined) {
    const names = wanted.flatMap((name) => serverPackages[name].debian);
    console.error(`installing for the tests: ${names.join(' ')}`);
    withServicesRefused(() => {
      if (!aptGet(['update'])) console.error('apt-get update failed; trying with the lists that are here');
      // One at a time when all together fail, so that one unknown package does not cost the others.
      const install = ['install', '-y', '--no-install-recommends'];
      if (!aptGet([...install, ...names])) for (const name of names) aptGet([...install, name]);
    });
  }
  return { missing: missingPackages() };
}
