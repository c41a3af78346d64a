/**
 * Passwords and certificates, read from their files anew for every connection, so that what is renewed in place is
 * used without a restart. Each function throws a {@link FaultError} that names the file.
 */
import { createSecureContext, type SecureContext } from 'node:tls';
import type { RedisPlan, RedisTlsPlan } from '../../core/cluster-plan.ts';
import { passwordIn, passwordPath, readSecretFile } from '../../rooms/secret-files.ts';
import { FaultError } from '../errors.ts';

export interface TlsSecrets {
  readonly secureContext: SecureContext;
  readonly servername?: string;
}

/** Reads all of them once, so that a start with one that is missing is refused at once. */
export function checkRedisFiles(plan: RedisPlan): void {
  serverPassword(plan);
  if (plan.form.kind === 'sentinel') sentinelPassword(plan);
  if (plan.tls !== undefined) tlsSecrets(plan.tls);
}

/** For the server itself. */
export function serverPassword(plan: RedisPlan): string | undefined {
  return remembered(plan.passwordFile === undefined ? plan.password : readPassword(plan.passwordFile));
}

/** For the Sentinels. */
export function sentinelPassword(plan: RedisPlan): string | undefined {
  return remembered(
    plan.sentinelPasswordFile === undefined ? undefined : readPassword(plan.sentinelPasswordFile),
  );
}

/** Passwords that were sent, the newest last: what is renewed may still be in an answer to the one before. */
const sent = new Set<string>();
const sentMax = 8;
/** Shorter ones would be found in any text. Characters. */
const sentCharactersMin = 4;

function remembered(password: string | undefined): string | undefined {
  if (password === undefined || password.length < sentCharactersMin) return password;
  sent.delete(password);
  sent.add(password);
  if (sent.size > sentMax) sent.delete(sent.values().next().value!);
  return password;
}

/**
 * What a server says, without the passwords it was sent: one that does not know AUTH answers with its arguments
 * ("unknown command 'AUTH', with args beginning with: ...").
 */
export function withoutPasswords(text: string): string {
  let result = text;
  for (const password of sent) result = result.replaceAll(password, '***');
  return result;
}

export function tlsSecrets(plan: RedisTlsPlan): TlsSecrets {
  const { caFile, certFile, keyFile, serverName } = plan;
  const files = {
    ...(caFile === undefined ? {} : { ca: readText(caFile) }),
    ...(certFile === undefined ? {} : { cert: readText(certFile) }),
    ...(keyFile === undefined ? {} : { key: readText(keyFile) }),
  };
  try {
    const secureContext = createSecureContext(files);
    return { secureContext, ...(serverName === undefined ? {} : { servername: serverName }) };
  } catch (error) {
    const names = [caFile, certFile, keyFile].filter((file) => file !== undefined).join(', ');
    throw new FaultError('file', `tls: ${names} cannot be used: ${(error as Error).message}`);
  }
}

function readPassword(file: string): string {
  return passwordIn(readText(passwordPath(file)));
}

function readText(file: string): string {
  try {
    return readSecretFile(file);
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException;
    const fault = new FaultError('file', `${file} cannot be read: ${code ?? message}`);
    throw code === undefined ? fault : Object.assign(fault, { code, path: file });
  }
}
