/** Options of dialects that can speak TLS. */
import type { ConnectionOptions } from 'node:tls';
import { flag, type OptionValues, text } from '../core/options.ts';
import { checkAuthorities } from './files.ts';

export const tlsOptions = {
  tls: flag('The check speaks TLS.', false),
  server_name: text(
    'The name asked for with TLS (SNI), and looked for in the certificate. Default: none.',
    undefined,
  ),
  verify: flag('The certificate must be valid; for server_name, if that is given.', false),
  ca_file: text('A file of certificates to trust, PEM. Default: those that Node.js has.', undefined),
} as const;

type Given = OptionValues<typeof tlsOptions>;

/**
 * What node:tls is given. The file is read anew for each check, so that a certificate renewed in place is used. Without a name only
 * the chain of the server's certificate is looked at.
 * @throws when the file cannot be read
 */
export function tlsConnection({ server_name, verify, ca_file }: Omit<Given, 'tls'>): ConnectionOptions {
  return {
    rejectUnauthorized: verify,
    ...(server_name === undefined ? { checkServerIdentity: () => undefined } : { servername: server_name }),
    ...(ca_file === undefined ? {} : { ca: checkAuthorities(ca_file) }),
  };
}

/** Options of TLS without TLS. */
export function tlsProblem(given: Given): { readonly key: string; readonly message: string } | undefined {
  if (given.tls) return undefined;
  const key = given.verify
    ? 'verify'
    : (['ca_file', 'server_name'] as const).find((name) => given[name] !== undefined);
  return key === undefined ? undefined : { key, message: 'has no effect without tls: true' };
}
