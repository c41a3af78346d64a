/** A primary, a replica and three Sentinels on free ports, quick to fail over, for the length of a test. */
import { setTimeout as sleep } from 'node:timers/promises';
import { requireCommand } from './packages.ts';
import { freePort, waitUntilBound } from './ports.ts';
import { type RunningProcess, startProcess } from './processes.ts';
import { type Redis, startRedis } from './redis.ts';
import { temporaryFile } from './temporary.ts';

export interface RedisSentinel {
  readonly primary: Redis;
  readonly replica: Redis;
  readonly sentinels: readonly RunningProcess[];
  readonly url: string;
  /** The port of the server the Sentinels say is the primary. */
  primaryPort(): Promise<number>;
}

const downAfterMs = 1_000;

/** Resolves when the replica is in sync and every Sentinel knows the others. */
export async function startRedisSentinel(): Promise<RedisSentinel> {
  const primary = await startRedis();
  const replica = await startRedis({ args: ['--replicaof', primary.host, String(primary.port)] });
  const ports = [await freePort(), await freePort(), await freePort()];
  const sentinels = await Promise.all(ports.map((port) => startSentinel(port, primary.port)));
  const ask = (...args: readonly string[]): Promise<string> => primaryVia(primary, ports[0]!, args);
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
  };
}

async function startSentinel(port: number, primaryPort: number): Promise<RunningProcess> {
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
      '',
    ].join('\n'),
  );
  const command = requireCommand('redis', 'redis-server');
  const started = startProcess({ command, args: [file, '--sentinel'], name: 'redis-sentinel' });
  await waitUntilBound('tcp', port, started);
  return started;
}

/** redis-cli to another port than the server's own: `-p` given last counts. */
function primaryVia(primary: Redis, port: number, args: readonly string[]): Promise<string> {
  return primary.command('-p', String(port), ...args);
}
