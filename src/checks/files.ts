/**
 * Files that checks use, read anew each time, so that what is renewed in place is used without a reload. One that cannot be used leaves
 * what was read before in use (rooms/kept-files.ts): a file that is half written is no fault of the backends.
 */
import { certificatesIn } from '../rooms/certificates.ts';
import { type FileUnusable, keptFiles } from '../rooms/kept-files.ts';
import { filledPasswordIn, passwordPath } from '../rooms/secret-files.ts';
import { isOwnFault } from './faults.ts';

/** Of the option `password_file`: a file, or credential:NAME. @throws as {@link used} */
export function checkPassword(file: string): string {
  const path = passwordPath(file);
  return used('password_file', path, (text) => filledPasswordIn(text, path));
}

/** Of the option `ca_file`: the certificates, PEM. @throws as {@link used} */
export function checkAuthorities(file: string): string {
  return used('ca_file', file, (text) => {
    try {
      certificatesIn(text);
    } catch (error) {
      throw new Error(`${file}: ${(error as Error).message}`);
    }
    return text;
  });
}

/** The files that checks with these options read. */
export function checkFilesOf({ password_file, ca_file }: Readonly<Record<string, unknown>>): string[] {
  return [
    ...(typeof password_file === 'string' ? [passwordPath(password_file)] : []),
    ...(typeof ca_file === 'string' ? [ca_file] : []),
  ];
}

/**
 * @param option the one that names it, for the error
 * @throws an error in an operator's words; with a code only where it speaks of this machine (no descriptor is left)
 */
function used(option: string, path: string, parse: (text: string) => string): string {
  try {
    return keptFiles.use(option, [path], ([text]) => parse(text!));
  } catch (error) {
    const { code, message } = error as FileUnusable;
    const fault = new Error(`${option} ${message}`);
    throw code !== undefined && isOwnFault(code) ? Object.assign(fault, { code }) : fault;
  }
}
