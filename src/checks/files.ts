/** Files that checks use, read anew each time, so that what is renewed in place is used without a reload. */
import { readFileSync } from 'node:fs';
import { isOwnFault } from './faults.ts';

/** No password and no chain of certificates is longer. Characters. */
const charactersMax = 1024 * 1024;

/**
 * @param option the option that names it, for the error
 * @throws an error in an operator's words; with a code only where it speaks of this machine (no descriptor is left)
 */
export function readCheckFile(option: string, file: string): string {
  try {
    const text = readFileSync(file, 'utf8');
    if (text.length > charactersMax) throw new Error('it is too long');
    return text;
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException;
    const fault = new Error(`${option} ${file} cannot be read: ${code ?? message}`);
    throw code !== undefined && isOwnFault(code) ? Object.assign(fault, { code }) : fault;
  }
}
