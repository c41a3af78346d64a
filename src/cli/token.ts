/**
 * The token with which commands ask an instance over TCP: in PINION_TOKEN, or in the file that PINION_TOKEN_FILE names. Not an option: what
 * stands on a command line everybody on the machine can read (ps).
 */
import { passwordIn, readSecretFile } from '../rooms/secret-files.ts';
import { AdminFailure } from './admin-failure.ts';

/** A header for requests; none where there is no token. @throws AdminFailure if the file cannot be read */
export function authorization(): { readonly authorization?: string } {
  const { PINION_TOKEN: token, PINION_TOKEN_FILE: file } = process.env;
  if (token) return { authorization: `Bearer ${token}` };
  if (!file) return {};
  try {
    return { authorization: `Bearer ${passwordIn(readSecretFile(file))}` };
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException;
    throw new AdminFailure(`PINION_TOKEN_FILE: ${file} cannot be read: ${code ?? message}`);
  }
}
