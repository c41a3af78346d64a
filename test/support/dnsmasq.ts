/**
 * A real DNS server (dnsmasq) that answers only what it is told: as a UDP backend it names itself in its
 * answers, as a resolver it plays a zone. It reads no hosts file, no resolv.conf, and asks nobody.
 */
import { join } from 'node:path';
import { requireCommand } from './packages.ts';
import { freePort, waitUntilBound } from './ports.ts';
import { type RunningProcess, startProcess } from './processes.ts';
import { temporaryFolder } from './temporary.ts';

export interface DnsmasqOptions {
  readonly host?: string;
  readonly port?: number;
  /** Name to addresses: A and AAAA records. */
  readonly hosts?: Readonly<Record<string, readonly string[]>>;
  /** Name to the text of its TXT record. */
  readonly texts?: Readonly<Record<string, string>>;
  /** Every name below this domain (or `#` for all) gets this address. */
  readonly addresses?: Readonly<Record<string, string>>;
  /** More command line. */
  readonly args?: readonly string[];
}

export interface Dnsmasq {
  readonly host: string;
  readonly port: number;
  readonly process: RunningProcess;
  stop(signal?: NodeJS.Signals): Promise<void>;
}

/** Starts dnsmasq and waits until it has bound its UDP port; rejects with its output otherwise. */
export async function startDnsmasq(options: DnsmasqOptions = {}): Promise<Dnsmasq> {
  const host = options.host ?? '127.0.0.1';
  const port = options.port ?? (await freePort('udp'));
  const pidFile = join(temporaryFolder('dnsmasq'), 'dnsmasq.pid');
  const args = [
    '--keep-in-foreground',
    '--log-facility=-',
    '--conf-file=/dev/null',
    '--no-resolv',
    '--no-hosts',
    '--bind-interfaces',
    `--listen-address=${host}`,
    `--port=${port}`,
    `--pid-file=${pidFile}`,
    // It would become `nobody`, or `dnsmasq`, a user only the full package makes.
    ...(process.getuid?.() === 0 ? ['--user=root', '--group=root'] : []),
    ...Object.entries(options.hosts ?? {}).flatMap(([name, ips]) =>
      ips.map((ip) => `--host-record=${name},${ip}`),
    ),
    ...Object.entries(options.texts ?? {}).map(([name, text]) => `--txt-record=${name},${text}`),
    ...Object.entries(options.addresses ?? {}).map(([name, ip]) => `--address=/${name}/${ip}`),
    ...(options.args ?? []),
  ];
  const started = startProcess({ command: requireCommand('dnsmasq', 'dnsmasq'), args });
  await waitUntilBound('udp', port, started);
  return {
    host,
    port,
    process: started,
    async stop(signal) {
      await started.stop(signal);
    },
  };
}
