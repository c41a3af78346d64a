import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { parseRedisUrl } from '../../config/redis-url.ts';
import { checkRedisFiles } from './secrets.ts';

test('a certificate that is none is refused before anything connects, with its name', () => {
  const folder = mkdtempSync(join(tmpdir(), 'pinion-connect-'));
  const file = join(folder, 'bad.pem');
  writeFileSync(file, '-----BEGIN CERTIFICATE-----\nnonsense\n-----END CERTIFICATE-----\n');
  const tls = { caFile: undefined, certFile: file, keyFile: file, serverName: undefined };
  try {
    const plan = { ...parseRedisUrl('rediss://127.0.0.1:1'), tls };
    expect(() => checkRedisFiles(plan)).toThrow(`tls: ${file}, ${file} cannot be used: `);
    // Node.js takes an empty one for none, and connects without.
    writeFileSync(file, '');
    expect(() => checkRedisFiles(plan)).toThrow('it has no certificate (PEM)');
    const authorities = { ...plan, tls: { ...tls, caFile: file, certFile: undefined, keyFile: undefined } };
    expect(() => checkRedisFiles(authorities)).toThrow('it has no certificate (PEM)');
  } finally {
    rmSync(folder, { recursive: true });
  }
});
