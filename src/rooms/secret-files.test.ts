import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, expect, test } from 'vitest';
import { passwordIn, passwordPath, readSecretFile } from './secret-files.ts';

const before = process.env.CREDENTIALS_DIRECTORY;
afterEach(() => {
  if (before === undefined) delete process.env.CREDENTIALS_DIRECTORY;
  else process.env.CREDENTIALS_DIRECTORY = before;
});

test('a credential is what the service manager has put into its folder (LoadCredential=)', () => {
  const folder = mkdtempSync(join(tmpdir(), 'pinion-credentials-'));
  try {
    process.env.CREDENTIALS_DIRECTORY = folder;
    writeFileSync(join(folder, 'redis'), 'secret \nanother line\n');
    expect(passwordIn(readSecretFile(passwordPath('credential:redis')))).toBe('secret');
    expect(() => readSecretFile(passwordPath('credential:other'))).toThrow('ENOENT');
    expect(() => readSecretFile(passwordPath('credential:'))).toThrow('it is not a regular file');
  } finally {
    rmSync(folder, { recursive: true });
  }
});

test('a file is where it says', () => {
  process.env.CREDENTIALS_DIRECTORY = '/nonexistent';
  expect(passwordPath('/etc/pinion/password')).toBe('/etc/pinion/password');
  delete process.env.CREDENTIALS_DIRECTORY;
  // A command beside the service looks where the service's are.
  expect(passwordPath('credential:redis')).toBe('/run/credentials/pinion.service/redis');
});
