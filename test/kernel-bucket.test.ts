/** The bucket the kernel puts a client in is the one we compute: asked of the kernel, in a network namespace. */
import { fileURLToPath } from 'node:url';
import { afterAll, expect, test } from 'vitest';
import type { ProbeResult } from './support/kernel-bucket-probe.ts';
import { createNamespaces, hostsWork, type Namespaces } from './support/namespaces.ts';
import { runToEnd } from './support/processes.ts';

/** Of each family. */
const addresses = process.env.PINION_LONG === undefined ? 2_000 : 100_000;
/** The long form takes half a minute on a machine that does nothing else. */
const timeoutMs = 300_000;
let world: Namespaces | undefined;
afterAll(() => world?.close());

test.skipIf(!hostsWork())(
  'the kernel and we put every client into the same bucket',
  async () => {
    world = await createNamespaces('probe');
    // Every address is one of this host's, and may be a source.
    await world.ip('probe', 'route', 'add', 'local', '0.0.0.0/0', 'dev', 'lo');
    await world.ip('probe', '-6', 'route', 'add', 'local', '::/0', 'dev', 'lo');
    await world.sysctl('probe', 'net.ipv6.ip_nonlocal_bind', 1);
    const script = fileURLToPath(new URL('../dist/test/support/kernel-bucket-probe.js', import.meta.url));
    const printed = await runToEnd({
      command: process.execPath,
      args: [script, String(addresses)],
      wrapper: world.wrapper('probe'),
      timeoutMs,
    });
    const results = printed
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line) as ProbeResult);
    expect(results.map(({ family, key }) => `${key} ${family}`)).toEqual(
      [4, 6].flatMap((family) => ['client-ip', 'client-subnet', 'flow'].map((key) => `${key} ${family}`)),
    );
    for (const result of results) {
      expect(result.differ, JSON.stringify(result)).toBe(0);
      // The random addresses of which two are the same are few.
      expect(result.asked, JSON.stringify(result)).toBeGreaterThan(addresses * 0.99);
    }
  },
  timeoutMs,
);
