/**
 * Runs once before the system tests: installs the servers they need where that is possible, otherwise says
 * which package is missing and which test files will not run fully because of it.
 */
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { ensurePackages, type ServerName, serverPackages } from './packages.ts';

const testFolder = fileURLToPath(new URL('..', import.meta.url));

/** Test files whose `requirePackage(...)` or `requireKernel(...)` calls name the server. */
export function filesThatRequire(name: ServerName, folder: string = testFolder): string[] {
  const files = readdirSync(folder, { recursive: true, encoding: 'utf8' }).filter((file) =>
    file.endsWith('.test.ts'),
  );
  return files.filter((file) => {
    const calls = readFileSync(join(folder, file), 'utf8').matchAll(/require(?:Package|Kernel)\(([^)]*)\)/g);
    return [...calls].some((call) => new RegExp(`['"]${name}['"]`).test(call[1] ?? ''));
  });
}

export default async function setup(): Promise<void> {
  const { missing } = await ensurePackages();
  for (const name of missing) {
    const files = filesThatRequire(name);
    const effect = files.length === 0 ? 'no test needs it' : `will not run fully: ${files.join(', ')}`;
    console.error(`missing: ${serverPackages[name].debian.join(' ')} (${effect})`);
  }
}
