/** A primary, a replica and three Sentinels on free ports, quick to fail over, for the length of a test. */
import { setTimeout as sleep } from 'node:timers/promises';
import { requireCommand } from './packages.ts';
import { freePort, waitUntilBound } from './ports.ts';
import { type RunningProcess, runToEnd, startProcess } from './processes.ts';
import { type Redis, startRedis } from './redis.ts';
import { temporaryFile } from './temporary.ts';

export interface RedisSentinel {
  readonly primary: Redis;
  readonly replica: Redis;
  readonly sentinels: readonly RunningProcess[];
  readonly url: string;
  /** The port of the server the Sentinels say is the primary. */
  primaryPort(): Promise<number>;
  /** Gives everybody another password of the servers, as an administrator does who stops none of them. */
  changeServerPassword(password: string): Promise<void>;
  /** The same for the Sentinels' own. */
  changeSentinelPassword(password: string): Promise<void>;
}

export interface SentinelPasswords {
  /** Of the primary and the replica. */
  readonly server: string;
  /** Of the Sentinels. */
  readonly sentinel: string;
}

const downAfterMs = 1_000;

/** Resolves when the replica is in sync and every Sentinel knows the others. */
export async function startRedisSentinel(passwords?: SentinelPasswords): Promise<RedisSentinel> {
  let { server, sentinel } = passwords ?? { server: undefined, sentinel: undefined };
  const secret = server === undefined ? [] : ['--requirepass', server, '--masterauth', server];
  const access = (): string[] => withPassword(server);
  const primary = await startRedis({ args: secret, access });
  const replicaOf = ['--replicaof', primary.host, String(primary.port)];
  const replica = await startRedis({ args: [...replicaOf, ...secret], access });
  const ports = [await freePort(), await freePort(), await freePort()];
  const sentinels = await Promise.all(ports.map((port) => startSentinel(port, primary.port, passwords)));
  const askAt = (port: number, ...args: readonly string[]): Promise<string> =>
    sentinelCommand(port, [...withPassword(sentinel), ...args]);
  const ask = (...args: readonly string[]): Promise<string> => askAt(ports[0]!, ...args);
  for (;;) {
    const info = await ask('SENTINEL', 'CKQUORUM', 'pair').catch(String);
    const replicas = await ask('INFO', 'sentinel');
    const link = await replica.command('INFO', 'replication');
    if (
      /^OK 3 usable/.test(info) &&
      /slaves=1,sentinels=3/.test(replicas) &&
      /master_link_status:up/.test(link)
    )
      break;
    await sleep(50);
  }
  return {
    primary,
    replica,
    sentinels,
    url: `redis+sentinel://${ports.map((port) => `127.0.0.1:${port}`).join(',')}/pair`,
    async primaryPort() {
      const [, port] = (await ask('SENTINEL', 'GET-MASTER-ADDR-BY-NAME', 'pair')).split('\n');
      return Number(port);
    },
    async changeServerPassword(password) {
      for (const port of ports) await askAt(port, 'SENTINEL', 'SET', 'pair', 'auth-pass', password);
      for (const one of [replica, primary]) await one.command('CONFIG', 'SET', 'masterauth', password);
      for (const one of [replica, primary]) await one.command('CONFIG', 'SET', 'requirepass', password);
      server = password;
    },
    async changeSentinelPassword(password) {
      for (const port of ports) await askAt(port, 'SENTINEL', 'CONFIG', 'SET', 'sentinel-pass', password);
      for (const port of ports) await askAt(port, 'ACL', 'SETUSER', 'default', 'resetpass', `>${password}`);
      sentinel = password;
    },
  };
}

function withPassword(password: string | undefined): string[] {
  return password === undefined ? [] : ['--no-auth-warning', '-a', password];
}

async function startSentinel(
  port: number,
  primaryPort: number,
  passwords: SentinelPasswords | undefined,
): Promise<RunningProcess> {
  const secret =
    passwords === undefined
      ? []
      : [`requirepass ${passwords.sentinel}`, `sentinel auth-pass pair ${passwords.server}`];
  // A Sentinel writes what it learns into its file.
  const file = temporaryFile(
    'sentinel.conf',
    [
      `port ${port}`,
      'bind 127.0.0.1',
      `sentinel monitor pair 127.0.0.1 ${primaryPort} 2`,
      `sentinel down-after-milliseconds pair ${downAfterMs}`,
      'sentinel failover-timeout pair 3000',
      'sentinel parallel-syncs pair 1',
      ...secret,
      '',
    ].join('\n'),
  );
  const command = requireCommand('redis', 'redis-server');
  const started = startProcess({ command, args: [file, '--sentinel'], name: 'redis-sentinel' });
  await waitUntilBound('tcp', port, started);
  return started;
}

async function sentinelCommand(port: number, args: readonly string[]): Promise<string> {
  const command = requireCommand('redis', 'redis-cli');
  const output = await runToEnd({ command, args: ['-h', '127.0.0.1', '-p', String(port), ...args] });
  return output.trim();
}
