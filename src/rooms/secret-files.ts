/** Files that hold passwords, certificates and keys: small, and read anew whenever they are needed. */
import { readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';

/** No password and no chain of certificates is longer. Bytes. */
const fileBytesMax = 1024 * 1024;

/** The text of a file. @throws an error with an errno name as its code; without one if it is no file, or too large */
export function readSecretFile(path: string): string {
  const found = statSync(path);
  // The thread would wait for ever for a pipe nobody writes to.
  if (!found.isFile()) throw new Error('it is not a regular file');
  if (found.size > fileBytesMax) throw new Error(`it is larger than ${fileBytesMax} bytes`);
  return readFileSync(path, 'utf8');
}

/** Where a password is: in a file, or for `credential:NAME` in the systemd credential NAME (systemd.exec(5), CREDENTIALS). */
export function passwordPath(file: string): string {
  const credential = /^credential:(.*)$/s.exec(file)?.[1];
  const folder = process.env.CREDENTIALS_DIRECTORY ?? '/run/credentials/pinion.service';
  return credential === undefined ? file : join(folder, credential);
}

/** The password in such a file: its first line. */
export function passwordIn(text: string): string {
  return text.split('\n', 1)[0]!.trim();
}

/** The same. @throws Error if there is none: a file that was just opened for writing is empty */
export function filledPasswordIn(text: string, path: string): string {
  const password = passwordIn(text);
  if (password === '') throw new Error(`${path} has no password in its first line`);
  return password;
}
