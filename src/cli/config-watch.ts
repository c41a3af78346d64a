/**
 * `run --watch`: a reload when the configuration has changed, as it is, without waiting for SIGHUP. It is read once it has been left
 * alone for half a second (control/watched-file.ts). What says the same as before, byte by byte, is no change; one that cannot be
 * read is told by the reload, once.
 */
import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { WatchedFile } from '../control/watched-file.ts';

/** @param reload is called for each change; it tells what came of it. @returns what ends the watching */
export function watchConfig(path: string, reload: () => void): () => void {
  let last: string | undefined;
  const file = new WatchedFile<string>({
    path,
    read: (at) => {
      try {
        return { value: createHash('sha256').update(readFileSync(at)).digest('hex') };
      } catch (error) {
        return { refused: (error as Error).message };
      }
    },
    tell: (digest, fault) => {
      const now = digest ?? fault;
      if (now === last) return;
      last = now;
      reload();
    },
  });
  const first = file.readNow();
  last = 'value' in first ? first.value : first.refused;
  file.start();
  return () => file.stop();
}
