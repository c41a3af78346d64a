/** As require-package.ts, for tests of rules in the kernel: they need hosts of their own (namespaces.ts) and nft(8) besides. */
import { describe, test } from 'vitest';
import { hostsWork } from './namespaces.ts';
import { findCommand, type ServerName } from './packages.ts';
import { requirePackage } from './require-package.ts';

/** A `describe` that is skipped, or fails in continuous integration, where these cannot run. */
export function requireKernel(...names: readonly ServerName[]): (title: string, body: () => void) => void {
  const missing = !hostsWork()
    ? 'root for network namespaces'
    : findCommand('nft') === undefined
      ? 'the Debian package nftables'
      : undefined;
  if (missing === undefined) return requirePackage(...names);
  const message = `not run: needs ${missing}`;
  return (title, body) => {
    if (process.env.CI !== 'true') {
      console.error(`${title}: ${message}`);
      return void describe.skip(title, body);
    }
    describe(title, () => {
      test(`needs ${missing}`, () => {
        throw new Error(message);
      });
    });
  };
}
