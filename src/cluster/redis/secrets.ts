/**
 * Passwords and certificates, read from their files anew for every connection, so that what is renewed in place is
 * used without a restart; one that cannot be used leaves what was read before in use (rooms/kept-files.ts). Each function throws a
 * {@link FaultError} that names the file if there is nothing of before.
 */
import { createSecureContext, type SecureContext } from 'node:tls';
import type { RedisPlan, RedisTlsPlan } from '../../core/cluster-plan.ts';
import { certificatesIn } from '../../rooms/certificates.ts';
import { type FileUnusable, keptFiles } from '../../rooms/kept-files.ts';
import { filledPasswordIn, passwordPath } from '../../rooms/secret-files.ts';
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
  const files = [caFile, certFile, keyFile].filter((file) => file !== undefined);
  const secureContext = used('tls', files, (texts) => {
    const textOf = (file: string | undefined): string | undefined =>
      file === undefined ? undefined : texts[files.indexOf(file)];
    const [ca, cert, key] = [textOf(caFile), textOf(certFile), textOf(keyFile)];
    try {
      // An empty one would be taken for none: it then trusts the authorities that Node.js has, and shows no certificate.
      for (const text of [ca, cert]) if (text !== undefined) certificatesIn(text);
      if (key?.trim() === '') throw new Error('the key is empty');
      return createSecureContext({
        ...(ca === undefined ? {} : { ca }),
        ...(cert === undefined ? {} : { cert }),
        ...(key === undefined ? {} : { key }),
      });
    } catch (error) {
      throw new Error(`tls: ${files.join(', ')} cannot be used: ${(error as Error).message}`);
    }
  });
  return { secureContext, ...(serverName === undefined ? {} : { servername: serverName }) };
}

function readPassword(file: string): string {
  const path = passwordPath(file);
  return used('password', [path], ([text]) => filledPasswordIn(text!, path));
}

function used<T>(what: string, files: readonly string[], parse: (texts: readonly string[]) => T): T {
  try {
    return keptFiles.use(what, files, parse);
  } catch (error) {
    const { code, path, message } = error as FileUnusable;
    const fault = new FaultError('file', message);
    throw code === undefined ? fault : Object.assign(fault, { code, path });
  }
}
