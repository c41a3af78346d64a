/**
 * The files a plan names for its Redis: passwords, certificates, keys. Each is read when it is needed, so that one that is
 * renewed in place is used at the next connection.
 */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { createSecureContext } from 'node:tls';
import type { RedisPlan } from '../../core/cluster-plan.ts';

/**
 * Reads all of them once, so that a start with one that is missing is refused at once.
 * @throws Error when one cannot be read or used; it says which
 */
export function checkRedisFiles(plan: RedisPlan): void {
  passwordOf(plan);
  if (plan.form.kind === 'sentinel') readPassword(plan.sentinelPasswordFile);
  if (plan.tls !== undefined) tlsOptions(plan);
}

/** @throws Error when a file cannot be read, or TLS cannot begin with what is in them */
export function tlsOptions(plan: RedisPlan): {
  ca?: string;
  cert?: string;
  key?: string;
  servername?: string;
} {
  const { caFile, certFile, keyFile, serverName } = plan.tls!;
  const files = {
    ...(caFile === undefined ? {} : { ca: readFileSync(caFile, 'utf8') }),
    ...(certFile === undefined ? {} : { cert: readFileSync(certFile, 'utf8') }),
    ...(keyFile === undefined ? {} : { key: readFileSync(keyFile, 'utf8') }),
  };
  try {
    // ioredis (6.0) gives a connection up for good when TLS cannot even begin.
    createSecureContext(files);
  } catch (error) {
    const names = [caFile, certFile, keyFile].filter((file) => file !== undefined).join(', ');
    throw new Error(`tls: ${names} cannot be used: ${(error as Error).message}`);
  }
  return { ...files, ...(serverName === undefined ? {} : { servername: serverName }) };
}

/** @throws Error when the password's file cannot be read */
export function passwordOf(plan: RedisPlan): string | undefined {
  return plan.passwordFile === undefined ? plan.password : readPassword(plan.passwordFile);
}

/**
 * The first line of a file, or of the systemd credential NAME for `credential:NAME` (systemd.exec(5), CREDENTIALS).
 * @throws Error when it cannot be read
 */
export function readPassword(file: string | undefined): string | undefined {
  if (file === undefined) return undefined;
  const path = file.startsWith('credential:')
    ? join(
        process.env.CREDENTIALS_DIRECTORY ?? '/run/credentials/pinion.service',
        file.slice('credential:'.length),
      )
    : file;
  return readFileSync(path, 'utf8').split('\n', 1)[0]!.trim();
}
