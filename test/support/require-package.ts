/**
 * A `describe` for tests that need a real server. Where its package is missing they are skipped, with a line
 * that says which package and which tests; in continuous integration (CI=true) a missing package is a failure,
 * because a suite that quietly tests less is worse than one that fails.
 */
import { describe, test } from 'vitest';
import { isInstalled, type ServerName, serverPackages } from './packages.ts';

/** `requirePackage('redis', 'postgres')('the story', () => { ... })` in place of `describe('the story', ...)`. */
export function requirePackage(...names: readonly ServerName[]): (title: string, body: () => void) => void {
  const missing = names.filter((name) => !isInstalled(name));
  if (missing.length === 0) return (title, body) => void describe(title, body);
  const install = missing.flatMap((name) => serverPackages[name].debian).join(' ');
  return (title, body) => {
    const message = `not run: "${title}" needs the Debian package(s) ${install}`;
    if (process.env.CI === 'true') {
      describe(title, () => {
        test(`needs ${install}`, () => {
          throw new Error(message);
        });
      });
      return;
    }
    console.error(message);
    describe.skip(title, body);
  };
}
