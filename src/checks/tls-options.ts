/** Options of dialects that can speak TLS. */
import { readFileSync } from 'node:fs';
import { flag, text } from '../core/options.ts';

export const tlsOptions = {
  tls: flag('The check speaks TLS.', false),
  server_name: text(
    'The name asked for with TLS (SNI), and looked for in the certificate. Default: none.',
    undefined,
  ),
  verify: flag('The certificate must be valid, for server_name if that is given.', false),
  ca_file: text('A file of certificates to trust, PEM. Default: those that Node.js has.', undefined),
} as const;

/** Read anew for each check, so that a certificate renewed in place is used. @throws when it cannot be read */
export function readCa(file: string | undefined): string | undefined {
  return file === undefined ? undefined : readFileSync(file, 'utf8');
}
