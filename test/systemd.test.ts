/** systemd/pinion.service as systemd itself judges it, without a service manager. */
import { spawnSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { expect, test } from 'vitest';
import { findCommand } from './support/packages.ts';

const unit = fileURLToPath(new URL('../systemd/pinion.service', import.meta.url));
/** In tenths. What is left: the network, a capability for low ports, and memory that V8's JIT can execute. */
const exposureMax = 16;

// Not installed for the sake of a test: the package of a service manager changes more than it brings.
const analyze = findCommand('systemd-analyze');

test.skipIf(analyze === undefined && process.env.CI !== 'true')('the unit exposes little', () => {
  expect(analyze, 'systemd-analyze is missing: install systemd').toBeDefined();
  const args = ['security', '--offline=yes', '--no-pager', `--threshold=${exposureMax}`, unit];
  const { status, stdout, stderr } = spawnSync(analyze!, args, { encoding: 'utf8' });
  expect(status, stdout + stderr).toBe(0);
  expect(stdout).toMatch(/Overall exposure level/);
});
