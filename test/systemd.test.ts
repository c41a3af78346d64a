/** The units as systemd itself judges them, without a service manager. */
import { spawnSync } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, test } from 'vitest';
import { findCommand } from './support/packages.ts';
import { temporaryFolder } from './support/temporary.ts';

const folder = fileURLToPath(new URL('../systemd', import.meta.url));
const services = ['pinion.service', 'pinion@.service'];
/** In tenths. What is left: the network, a capability for low ports, and memory that V8's JIT can execute. */
const exposureMax = 16;
/** The same with the sockets passed, as docs/INSTALL.md has it: nothing but the network and the JIT. */
const passedExposureMax = 13;

const textOf = (unit: string): string => readFileSync(join(folder, unit), 'utf8');

// Not installed for the sake of a test: the package of a service manager changes more than it brings.
const analyze = findCommand('systemd-analyze');

describe.skipIf(analyze === undefined && process.env.CI !== 'true')('the units', () => {
  const ask = (...args: string[]): { readonly status: number | null; readonly output: string } => {
    expect(analyze, 'systemd-analyze is missing: install systemd').toBeDefined();
    const { status, stdout, stderr } = spawnSync(analyze!, args, { encoding: 'utf8' });
    return { status, output: stdout + stderr };
  };
  const exposure = (unit: string, tenthsMax: number): void => {
    const { status, output } = ask(
      'security',
      '--offline=yes',
      '--no-pager',
      `--threshold=${tenthsMax}`,
      unit,
    );
    expect(status, output).toBe(0);
    expect(output).toMatch(/Overall exposure level/);
  };

  test.each(services)('%s exposes little', (unit) => exposure(join(folder, unit), exposureMax));

  test('and less with the sockets passed', () => {
    const lines = ['AmbientCapabilities=', 'CapabilityBoundingSet=', 'PrivateUsers=yes'];
    const copy = join(temporaryFolder('units'), 'pinion.service');
    writeFileSync(copy, textOf('pinion.service').replace('[Install]', `${lines.join('\n')}\n\n[Install]`));
    exposure(copy, passedExposureMax);
  });

  test('have no mistake', () => {
    const copies = temporaryFolder('units');
    // The command is where it is installed, and not here.
    for (const unit of [...services, 'pinion.socket'])
      writeFileSync(join(copies, unit), textOf(unit).replaceAll('=pinion ', `=${process.execPath} `));
    for (const unit of ['pinion.service', 'pinion@edge.service', 'pinion.socket']) {
      const { status, output } = ask('verify', '--man=no', join(copies, unit));
      expect({ unit, status, output }).toEqual({ unit, status: 0, output: '' });
    }
  });
});

test('a unit with an instance is the one without, but for its names', () => {
  const settings = (unit: string): string[] =>
    textOf(unit)
      .split('\n')
      .filter((line) => /^[[A-Z]/.test(line));
  const own = settings('pinion.service').map((line) =>
    line
      .replace('load balancer', 'load balancer, %i')
      .replace('/etc/pinion/pinion.yaml', '/etc/pinion/%i.yaml')
      .replace(/^(Runtime|Logs)Directory=pinion$/, '$1Directory=pinion-%i'),
  );
  expect(settings('pinion@.service')).toEqual(own);
});

test('the example of log.access is in a folder that the unit may write to', () => {
  const file = /file: (\/\S+)\/access\.log/.exec(
    readFileSync(join(folder, '../docs/MONITORING.md'), 'utf8'),
  )?.[1];
  expect(`/var/log/${/^LogsDirectory=(\S+)$/m.exec(textOf('pinion.service'))?.[1]}`).toBe(file);
});

test('a reload is one order: systemd runs ExecReload= and sends no signal as well', () => {
  for (const unit of services) {
    expect(textOf(unit).match(/^Type=.*$/gm)).toEqual(['Type=notify']);
    expect(textOf(unit)).toMatch(/^ExecReload=pinion reload --config /m);
  }
});
