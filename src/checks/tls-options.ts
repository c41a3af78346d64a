/** Options of dialects that can speak TLS. */
import { flag, text } from '../core/options.ts';
import { readCheckFile } from './files.ts';

export const tlsOptions = {
  tls: flag('The check speaks TLS.', false),
  server_name: text(
    'The name asked for with TLS (SNI), and looked for in the certificate. Default: none.',
    undefined,
  ),
  verify: flag('The certificate must be valid; for server_name, if that is given.', false),
  ca_file: text('A file of certificates to trust, PEM. Default: those that Node.js has.', undefined),
} as const;

/** Read anew for each check, so that a certificate renewed in place is used. @throws when it cannot be read */
export function readCa(file: string | undefined): string | undefined {
  return file === undefined ? undefined : readCheckFile('ca_file', file);
}

/** What node:tls is told of the server's name: without one only the chain of the certificate is looked at. */
export function namedServer(name: string | undefined): Readonly<Record<string, unknown>> {
  return name === undefined ? { checkServerIdentity: () => undefined } : { servername: name };
}

/** Options of TLS without TLS. */
export function tlsProblem(options: {
  readonly tls: boolean;
  readonly server_name: string | undefined;
  readonly verify: boolean;
  readonly ca_file: string | undefined;
}): { readonly key: string; readonly message: string } | undefined {
  if (options.tls) return undefined;
  const key = options.verify ? 'verify' : options.ca_file !== undefined ? 'ca_file' : 'server_name';
  if (!options.verify && options.ca_file === undefined && options.server_name === undefined) return undefined;
  return { key, message: 'has no effect without tls: true' };
}
