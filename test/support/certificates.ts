/** Certificate authorities of our own, and what they sign, for the length of a test. */
import { copyFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { runToEnd } from './processes.ts';
import { temporaryFolder } from './temporary.ts';

/** Whom the certificates name. */
export const certificateName = 'redis.test';

/** PEM files. */
export interface Certificate {
  /** The authority that has signed it. */
  readonly caFile: string;
  readonly certFile: string;
  readonly keyFile: string;
}

const names = { ca: 'ca.crt', cert: 'one.crt', key: 'one.key' } as const;

function filesIn(folder: string): Certificate {
  return {
    caFile: join(folder, names.ca),
    certFile: join(folder, names.cert),
    keyFile: join(folder, names.key),
  };
}

/** A certificate of an authority that is made for it, in a new temporary folder. */
export async function newCertificate(): Promise<Certificate> {
  const folder = temporaryFolder('tls');
  const openssl = (...args: readonly string[]): Promise<string> =>
    runToEnd({ command: 'openssl', args, folder });
  const newKey = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes'];
  const authority = ['-keyout', 'ca.key', '-out', names.ca, '-subj', '/CN=test authority', '-days', '2'];
  await openssl('req', '-x509', ...newKey, ...authority);
  await openssl('req', ...newKey, '-keyout', names.key, '-out', 'request', '-subj', `/CN=${certificateName}`);
  writeFileSync(join(folder, 'extensions'), `subjectAltName=DNS:${certificateName}\n`);
  const signed = ['-CA', names.ca, '-CAkey', 'ca.key', '-CAcreateserial', '-extfile', 'extensions'];
  await openssl('x509', '-req', '-in', 'request', ...signed, '-days', '2', '-out', names.cert);
  return filesIn(folder);
}

/** The same in files of one's own, which can be replaced by {@link renewInPlace}. */
export function copyOf(certificate: Certificate): Certificate {
  const files = filesIn(temporaryFolder('tls'));
  renewInPlace(files, certificate);
  return files;
}

/** Writes what `by` holds into the files that are there: all three of them, or those that are named. */
export function renewInPlace(
  files: Certificate,
  by: Certificate,
  which: readonly (keyof Certificate)[] = ['caFile', 'certFile', 'keyFile'],
): void {
  for (const file of which) copyFileSync(by[file], files[file]);
}

/** For redis-cli. */
export function tlsAccess({ caFile, certFile, keyFile }: Certificate): string[] {
  return ['--tls', '--cacert', caFile, '--cert', certFile, '--key', keyFile];
}
