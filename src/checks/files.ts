/** Files that checks use, read anew each time, so that what is renewed in place is used without a reload. */
import { readSecretFile } from '../rooms/secret-files.ts';
import { isOwnFault } from './faults.ts';

/**
 * @param option the option that names it, for the error
 * @throws an error in an operator's words; with a code only where it speaks of this machine (no descriptor is left)
 */
export function readCheckFile(option: string, file: string): string {
  try {
    return readSecretFile(file);
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException;
    const fault = new Error(`${option} ${file} cannot be read: ${code ?? message}`);
    throw code !== undefined && isOwnFault(code) ? Object.assign(fault, { code }) : fault;
  }
}
