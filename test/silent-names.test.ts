/**
 * A name server that says nothing, in a network namespace of its own: getaddrinfo(3) then takes a minute, and no thread that is in
 * it can be ended. Other names are looked up meanwhile, and the process ends in time all the same, with its own status.
 */
import { spawnSync } from 'node:child_process';
import { afterEach, describe, expect, test } from 'vitest';
import { backendsOf, configText, listener, noCheck, quickCheck } from './support/config.ts';
import { startPinion } from './support/pinion.ts';
import { stopEverything } from './support/processes.ts';

afterEach(stopEverything);

// Behind one end of a cable is the other, and that has another address than the name server: what is sent there is gone.
const setUp = [
  'ip link set lo up',
  'ip link add cable type veth peer name end',
  'ip address add 192.0.2.2/24 dev cable',
  'ip link set cable up',
  'ip link set end up',
  'ip neighbour add 192.0.2.1 lladdr 02:00:00:00:00:01 dev cable',
  'mount -t tmpfs none /mnt',
  `printf 'nameserver 192.0.2.1\noptions timeout:30 attempts:2\n' > /mnt/resolv.conf`,
  'mount --bind /mnt/resolv.conf /etc/resolv.conf',
];
const wrapper = ['unshare', '--net', '--mount', 'sh', '-c', `${setUp.join(' && ')} && exec "$@"`, 'sh'];
const works = spawnSync(wrapper[0]!, [...wrapper.slice(1), 'true']).status === 0;

const silentBackend = { name: 'silent', address: 'silent.test:1' };
/** The longest any part takes to stop (3 s, the cluster room), and a busy machine's own time: the name server takes a minute. */
const stopMsMax = 25_000;

describe.skipIf(!works)('a silent name server', () => {
  test.each([
    ['of Redis', 'epoll', { name: 'c', instance: 'one', redis: 'redis://silent.test:6379' }, []],
    ['of Redis', 'portable', { name: 'c', instance: 'one', redis: 'redis://silent.test:6379' }, []],
    ['of a backend', 'epoll', undefined, [silentBackend]],
  ])('%s does not keep the process (%s)', async (_whose, engine, cluster, more) => {
    const backends = [...backendsOf([{ name: 'a', address: '127.0.0.1:1' }]), ...more];
    const pinion = await startPinion(
      configText({
        engine,
        workers: 1,
        ...(cluster === undefined ? {} : { cluster }),
        listeners: [listener('front', 'tcp', 'pool')],
        pools: { pool: { health: cluster === undefined ? quickCheck : noCheck, backends } },
      }),
      { wrapper },
    );
    const sinceMs = performance.now();
    expect(await pinion.stop('SIGTERM', 30_000)).toMatchObject({ code: 0, signal: null });
    expect(performance.now() - sinceMs).toBeLessThan(stopMsMax);
    expect(pinion.events('stopped').length).toBe(1);
  });
});
