/**
 * A real nginx in the foreground with one worker: any `http` or `stream` block, or a small static answer. Its
 * paths all lie in a temporary folder.
 */
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { requireCommand } from './packages.ts';
import { freePort, type Transport, waitUntilBound } from './ports.ts';
import { type ProcessOptions, type RunningProcess, startProcess } from './processes.ts';
import { temporaryFolder } from './temporary.ts';

export const streamModule = '/usr/lib/nginx/modules/ngx_stream_module.so';

export interface NginxOptions {
  /** The `http { }` and `stream { }` blocks. */
  readonly blocks: string;
  /** What it is ready by. */
  readonly port: number;
  readonly transport?: Transport;
  readonly core?: number | undefined;
  readonly wrapper?: ProcessOptions['wrapper'];
  /** Client and server sides together. */
  readonly connectionsMax?: number;
}

/** Starts nginx and waits until it has bound the port. Rejects with its output when the text is wrong. */
export async function startNginx(options: NginxOptions): Promise<RunningProcess> {
  const folder = temporaryFolder('nginx');
  const connections = options.connectionsMax ?? 4096;
  const text = [
    ...(options.blocks.includes('stream {') ? [`load_module ${requireCommand('nginx', streamModule)};`] : []),
    // Root's worker would otherwise become www-data, which cannot enter the temporary folder.
    ...(process.getuid?.() === 0 ? ['user root;'] : []),
    'daemon off;',
    'worker_processes 1;',
    `worker_rlimit_nofile ${connections + 64};`,
    `pid ${join(folder, 'nginx.pid')};`,
    'error_log stderr warn;',
    `events { worker_connections ${connections}; }`,
    options.blocks,
  ].join('\n');
  const file = join(folder, 'nginx.conf');
  writeFileSync(file, `${text}\n`);
  mkdirSync(join(folder, 'logs'));
  const started = startProcess({
    command: requireCommand('nginx', 'nginx'),
    args: ['-p', folder, '-e', 'stderr', '-c', file],
    core: options.core,
    wrapper: options.wrapper,
  });
  await waitUntilBound(options.transport ?? 'tcp', options.port, started);
  return started;
}

export interface StaticHttpOptions {
  readonly host?: string;
  readonly port?: number;
  /** Short plain text without quotes or `$`. */
  readonly body: string;
  /** 0 closes after every answer. Seconds. */
  readonly keepAliveSeconds?: number;
  readonly core?: number | undefined;
  readonly wrapper?: ProcessOptions['wrapper'];
  readonly connectionsMax?: number;
}

/** An HTTP server that answers every request with 200 and the body: a backend that names itself. */
export async function startStaticHttp(
  options: StaticHttpOptions,
): Promise<{ readonly host: string; readonly port: number; readonly process: RunningProcess }> {
  const host = options.host ?? '127.0.0.1';
  const port = options.port ?? (await freePort());
  const paths = ['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi'];
  const blocks = [
    'http {',
    ...paths.map((name) => `  ${name}_temp_path ${name};`),
    '  access_log off;',
    `  keepalive_timeout ${options.keepAliveSeconds ?? 75};`,
    '  keepalive_requests 1000000000;',
    '  server {',
    `    listen ${host}:${port} backlog=4096;`,
    `    location / { default_type text/plain; return 200 "${options.body}"; }`,
    '  }',
    '}',
  ].join('\n');
  const { core, wrapper, connectionsMax } = options;
  const more = connectionsMax === undefined ? {} : { connectionsMax };
  return { host, port, process: await startNginx({ blocks, port, core, wrapper, ...more }) };
}
