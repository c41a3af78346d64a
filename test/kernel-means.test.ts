/** What the kernel relay needs of Linux, asked of a real kernel: events and requests of conntrack, transactions of nftables. */
import { fileURLToPath } from 'node:url';
import { afterEach, describe, test } from 'vitest';
import { createNamespaces, hostsWork, type Namespaces } from './support/namespaces.ts';

let world: Namespaces | undefined;
afterEach(() => world?.close());

describe.skipIf(!hostsWork())('in a network namespace of its own', () => {
  test.each([
    'events',
    'filter',
    'look',
    'refused',
    'delete by mark',
    'overrun',
    'nft, the library',
    'nft, the command',
  ])('the kernel does what the probe expects: %s', async (story) => {
    world = await createNamespaces('probe');
    const script = fileURLToPath(new URL('../dist/test/support/kernel-means-probe.js', import.meta.url));
    await world.run('probe', process.execPath, script, story);
  });
});
