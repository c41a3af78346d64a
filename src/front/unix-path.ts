/**
 * The path of a unix socket we are about to listen on. A process that is killed leaves its socket behind, so what
 * nobody answers on is replaced; a living instance's socket, or somebody's file, never is.
 */
import { lstatSync, rmSync, type Stats, statSync } from 'node:fs';
import { connect } from 'node:net';

const answerTimeoutMs = 1_000;

/** What stood at the path, by its number: a path can be given to another socket behind our back. */
export interface Inode {
  readonly device: number;
  readonly number: number;
}

/**
 * Makes the path free to be bound.
 * @returns why it cannot be, with what to do; undefined when nothing is in the way
 */
export async function freeUnixPath(path: string): Promise<string | undefined> {
  const unusable = folderProblem(path.slice(0, path.lastIndexOf('/')) || '/');
  if (unusable !== undefined) return unusable;
  const found = inodeAt(path);
  if (found === undefined) return undefined;
  if (found.stats.isDirectory()) return 'a folder is there; choose another path';
  if (!found.stats.isSocket())
    return 'a file that is not a socket is there; remove it, or choose another path';
  const holder = await whoAnswersAt(path);
  if (holder === 'another-user') {
    return 'a socket this user may not open is there; stop the process it belongs to, or choose another path';
  }
  // From here to the bind nothing waits, so only another process can still come between.
  if (holder === 'a-process' || !isStillAt(path, found.inode)) return takenAdvice;
  rmSync(path, { force: true });
  return undefined;
}

export const takenAdvice =
  'another process (a second pinion?) listens there; stop it, or give this one another path';

/** What is at the path now; undefined when nothing is. */
export function inodeOf(path: string): Inode | undefined {
  return inodeAt(path)?.inode;
}

export function isStillAt(path: string, inode: Inode | undefined): boolean {
  let now: Inode | undefined;
  try {
    now = inodeOf(path);
  } catch {
    // A part of the path is no folder any more, or closed to us: ours is not there.
    return false;
  }
  return now !== undefined && now.device === inode?.device && now.number === inode.number;
}

function inodeAt(path: string): { readonly inode: Inode; readonly stats: Stats } | undefined {
  // Not `stat`: a symbolic link is a file somebody put there.
  const stats = lstatSync(path, { throwIfNoEntry: false });
  return stats === undefined ? undefined : { inode: { device: stats.dev, number: stats.ino }, stats };
}

/** libuv says EACCES for a bind in a folder that does not exist, so the folder is looked at first. */
export function folderProblem(folder: string): string | undefined {
  try {
    if (statSync(folder).isDirectory()) return undefined;
    return `${folder} is not a folder; choose another path`;
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException;
    if (code === 'ENOTDIR') return `a part of ${folder} is not a folder; choose another path`;
    if (code !== 'ENOENT') return `the folder ${folder} cannot be looked at: ${code ?? message}`;
    const underRun = /^\/run\/([^/]+)$/.exec(folder)?.[1];
    const hint = underRun === undefined ? '' : ` (systemd: RuntimeDirectory=${underRun})`;
    return `there is no folder ${folder}; create it${hint} or choose another path`;
  }
}

/** A connection is asked for and given up at once; a process too busy to take it is a process all the same. */
function whoAnswersAt(path: string): Promise<'nobody' | 'a-process' | 'another-user'> {
  return new Promise((resolve) => {
    const socket = connect(path);
    const answer = (who: 'nobody' | 'a-process' | 'another-user'): void => {
      socket.destroy();
      resolve(who);
    };
    socket.setTimeout(answerTimeoutMs, () => answer('a-process'));
    socket.once('connect', () => answer('a-process'));
    socket.on('error', ({ code }: NodeJS.ErrnoException) => {
      // ECONNREFUSED: the socket of a process that is gone. ENOENT: it went away in this moment.
      if (code === 'ECONNREFUSED' || code === 'ENOENT') answer('nobody');
      else answer(code === 'EACCES' || code === 'EPERM' ? 'another-user' : 'a-process');
    });
  });
}
