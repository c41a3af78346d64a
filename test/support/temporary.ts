/**
 * Temporary folders that are gone at the end. Servers started by tests keep their data, sockets and
 * configuration here; nothing is ever written into a system folder.
 */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

const folders = new Set<string>();

/** Makes an empty folder, mode 0700, that `removeTemporaryFolders` removes (`stopEverything` calls it). */
export function temporaryFolder(name: string): string {
  const folder = mkdtempSync(join(tmpdir(), `pinion-${name}-`));
  folders.add(folder);
  return folder;
}

/** Writes `text` to a file in a new temporary folder and returns its path. */
export function temporaryFile(name: string, text: string): string {
  const path = join(temporaryFolder('file'), name);
  writeFileSync(path, text);
  return path;
}

export function removeTemporaryFolders(): void {
  for (const folder of folders) rmSync(folder, { recursive: true, force: true, maxRetries: 3 });
  folders.clear();
}
