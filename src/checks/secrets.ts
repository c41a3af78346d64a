/** Passwords of checks, read anew each time, so that one renewed in place is used without a reload. */
import { text } from '../core/options.ts';
import { checkPassword } from './files.ts';

export const passwordOption = text(
  'A file whose first line is the password, or credential:NAME (systemd, LoadCredential=). It is read for each check.',
  undefined,
);

/** @throws an error that names the file */
export function readPassword(file: string | undefined): string | undefined {
  if (file === undefined) return undefined;
  // Not the backend's fault, and yet nobody knows whether it is well: it counts as failed, in these words.
  return checkPassword(file);
}
