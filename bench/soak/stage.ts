/** What stands still while the soak goes on: pinion with its listeners, the backends behind them, and who falls down. */
import { setTimeout as sleep } from 'node:timers/promises';
import { type Blackhole, openBlackhole } from '../../test/support/blackhole.ts';
import { backendsOf, configText, listener, noCheck, quickCheck } from '../../test/support/config.ts';
import { type Pinion, startPinion } from '../../test/support/pinion.ts';
import { stopServers, type TestServer } from '../../test/support/servers.ts';
import { datagramBackend, Fates, streamBackend } from './backends.ts';

export interface Stage {
  readonly pinion: Pinion;
  readonly fates: Fates;
  /** Ends one of the fragile backends after the other and starts it again, until `isOver`; then all serve. */
  breakBackends(isOver: () => boolean): Promise<number>;
  close(): Promise<void>;
}

/**
 * Every collection is a full one: garbage that V8 would leave for later (it takes its time up to 50 MB) must neither
 * look like a leak nor hide one.
 */
const collectingNode = ['sh', '-c', 'node=$1; shift; exec "$node" --gc-global "$@"', 'sh'];

function config(
  tcp: readonly TestServer[],
  udp: readonly TestServer[],
  fragile: readonly TestServer[],
  fragileUdp: readonly TestServer[],
  never: Blackhole,
): string {
  const quickIdle = { timeouts: { idle: '1s' } };
  return configText({
    workers: 2,
    log: { flows: { level: 'off' } },
    listeners: [
      listener('steady', 'tcp', 'steady'),
      listener('fragile', 'tcp', 'fragile', { affinity: 'none' }),
      listener('never', 'tcp', 'never', { timeouts: { connect: '300ms' } }),
      listener('datagrams', 'udp', 'datagrams', quickIdle),
      listener('fragile-datagrams', 'udp', 'fragile-datagrams', quickIdle),
    ],
    pools: {
      steady: { health: noCheck, backends: backendsOf(tcp) },
      fragile: { health: quickCheck, policy: 'round-robin', backends: backendsOf(fragile) },
      never: { health: noCheck, tries: 1, passive: { failures: 0 }, backends: [never] },
      datagrams: { health: noCheck, backends: backendsOf(udp) },
      'fragile-datagrams': { health: noCheck, backends: backendsOf(fragileUdp) },
    },
  });
}

export async function setStage(): Promise<Stage> {
  const fates = new Fates();
  const streams = (names: string[]) => Promise.all(names.map((name) => streamBackend(name, fates)));
  const datagrams = (names: string[]) => Promise.all(names.map((name) => datagramBackend(name)));
  const [tcp, udp] = [await streams(['s1', 's2']), await datagrams(['d1', 'd2'])];
  const [fragile, fragileUdp] = [await streams(['f1', 'f2']), await datagrams(['g1', 'g2'])];
  const never = await openBlackhole('n1');
  const { name, address } = never;
  const pinion = await startPinion(config(tcp, udp, fragile, fragileUdp, { ...never, name, address }), {
    wrapper: collectingNode,
  });
  return {
    pinion,
    fates,
    async breakBackends(isOver) {
      let deaths = 0;
      for (; !isOver(); deaths++) {
        const victims = [fragile[deaths % 2]!, fragileUdp[deaths % 2]!];
        await Promise.all(victims.map((victim) => victim.stop()));
        await sleep(700);
        await Promise.all(victims.map((victim) => victim.start()));
        await sleep(1_300);
      }
      return deaths;
    },
    async close() {
      await pinion.stop();
      await never.close();
      await stopServers();
    },
  };
}
