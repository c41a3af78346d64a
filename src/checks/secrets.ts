/** Passwords of checks, read anew each time, so that one renewed in place is used without a reload. */
import { join } from 'node:path';
import { text } from '../core/options.ts';
import { readCheckFile } from './files.ts';

export const passwordOption = text(
  'A file whose first line is the password, or credential:NAME (systemd, LoadCredential=). It is read for each check.',
  undefined,
);

/** @throws an error that names the file */
export function readPassword(file: string | undefined): string | undefined {
  if (file === undefined) return undefined;
  const credential = /^credential:(.+)$/.exec(file)?.[1];
  const folder = process.env.CREDENTIALS_DIRECTORY ?? '/run/credentials/pinion.service';
  const path = credential === undefined ? file : join(folder, credential);
  // Not the backend's fault, and yet nobody knows whether it is well: it counts as failed, in these words.
  return readCheckFile('password_file', path).split('\n', 1)[0]!.trim();
}
