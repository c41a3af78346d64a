/**
 * Files that rooms read again and again (tokens, passwords, certificates) and that cannot be used as they are now: what is told of them
 * and shown. What was made of them before stays in use (rooms/kept-files.ts).
 */
import type { RoomName } from '../rooms/client.ts';
import type { FileWord } from '../rooms/kept-files.ts';
import type { ControlWatcher } from './events.ts';

export interface UnusableFile {
  readonly room: RoomName;
  /** The file; several that only work together. */
  readonly file: string;
  /** Why it cannot be used; names it. */
  readonly fault: string;
  /** ISO 8601, when it was found. */
  readonly since: string;
  /** What it said before stays in use; false: since the process began it never could be used. */
  readonly isKept: boolean;
}

export class UnusableFiles {
  /** Times one became unusable, since the start. */
  failures = 0;
  private readonly watch: ControlWatcher;
  private readonly found = new Map<string, UnusableFile>();

  constructor(watch: ControlWatcher) {
    this.watch = watch;
  }

  hear(room: RoomName, { is, file, why, isKept }: FileWord): void {
    const key = `${room} ${file}`;
    if (is === 'unusable') {
      const before = this.found.get(key);
      if (before === undefined) this.failures++;
      const since = before?.since ?? new Date().toISOString();
      this.found.set(key, { room, file, fault: why, since, isKept });
      this.watch({ event: 'file-failed', room, file, message: why, isKept });
    } else if (this.found.delete(key) && is === 'usable') this.watch({ event: 'file-restored', room, file });
  }

  /** The next thread looks for itself. */
  forget(room: RoomName): void {
    for (const [key, one] of this.found) if (one.room === room) this.found.delete(key);
  }

  list(): UnusableFile[] {
    return [...this.found.values()];
  }
}
