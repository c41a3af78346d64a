/** Passwords of checks, read anew each time, so that one renewed in place is used without a reload. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { text } from '../core/options.ts';

export const passwordOption = text(
  'A file whose first line is the password, or credential:NAME (systemd, LoadCredential=). It is read for each check.',
  undefined,
);

/** @throws an error that names the file */
export function readPassword(file: string | undefined): string | undefined {
  if (file === undefined) return undefined;
  const credential = /^credential:(.+)$/.exec(file)?.[1];
  const folder = process.env.CREDENTIALS_DIRECTORY ?? '/run/credentials/pinion.service';
  try {
    return readFileSync(credential === undefined ? file : join(folder, credential), 'utf8')
      .split('\n', 1)[0]!
      .trim();
  } catch (error) {
    // Not the backend's fault, and yet nobody knows whether it is well: it counts as failed, in these words.
    throw new Error(`password_file ${file} cannot be read: ${(error as NodeJS.ErrnoException).code}`);
  }
}
