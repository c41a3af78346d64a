/**
 * The file of a unix socket outlives a process that died; bind(2) then says EADDRINUSE for ever. This removes
 * such a file, and only such a file.
 */
import { lstatSync, unlinkSync } from 'node:fs';
import { connect } from 'node:net';

/** Removes `path` if it is a socket nobody listens on. @returns whether it did */
export async function removeStaleSocket(path: string): Promise<boolean> {
  try {
    if (!lstatSync(path).isSocket()) return false;
    if (await isServed(path)) return false;
    unlinkSync(path);
    return true;
  } catch {
    return false;
  }
}

function isServed(path: string): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(path);
    socket.once('connect', () => {
      socket.destroy();
      resolve(true);
    });
    // Anything but a refusal (a full queue, no permission) may well be a living owner.
    socket.once('error', (error: NodeJS.ErrnoException) => resolve(error.code !== 'ECONNREFUSED'));
  });
}
