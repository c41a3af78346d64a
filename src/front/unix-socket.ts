/**
 * Listening on a unix socket that is its owner's (0600), or its owner's and a group's (0660), from its first moment on, without the umask, which belongs
 * to the whole process and cannot be set in a worker thread. The socket is made in a folder nobody else may enter and
 * then linked to its path, which fails if something came to stand there meanwhile.
 *
 * What libuv removes when the server closes is the name in that folder, gone since; the path is removed here, if it is
 * still ours.
 */
import {
  chmodSync,
  chownSync,
  closeSync,
  linkSync,
  mkdtempSync,
  openSync,
  readFileSync,
  rmdirSync,
  rmSync,
  statSync,
} from 'node:fs';
import type { Server } from 'node:net';
import { bindHints } from '../control/listeners.ts';
import { unixPathBytesMax } from '../core/limits.ts';
import { freeUnixPath, inodeOf, isStillAt, takenAdvice } from './unix-path.ts';

/**
 * @returns what removes the path, to be called before the server is closed
 * @throws Error saying why the path cannot be had and what to do; the server is closed then
 */
export async function listenAtPath(server: Server, path: string, group?: string): Promise<() => void> {
  const gid = group === undefined ? undefined : groupNumber(group);
  const inTheWay = await freeUnixPath(path);
  if (inTheWay !== undefined) throw new Error(inTheWay);
  let folder: string | undefined;
  let descriptor: number | undefined;
  try {
    folder = mkdtempSync(`${path}.`);
    let name = `${folder}/s`;
    if (Buffer.byteLength(name) > unixPathBytesMax) {
      // Kept open as long as the server: its number must not lead libuv to another folder at the end.
      descriptor = openSync(folder, 'r');
      name = `/proc/self/fd/${descriptor}/s`;
    }
    await listen(server, name);
    if (gid !== undefined) giveTo(gid, `${folder}/s`, group!);
    chmodSync(`${folder}/s`, gid === undefined ? 0o600 : 0o660);
    linkSync(`${folder}/s`, path);
  } catch (error) {
    server.close();
    if (descriptor !== undefined) closeSync(descriptor);
    throw explained(error as NodeJS.ErrnoException);
  } finally {
    if (folder !== undefined) removeFolder(folder);
  }
  const inode = inodeOf(path);
  return () => {
    if (isStillAt(path, inode)) rmSync(path, { force: true });
    // Not before libuv has tried to remove what is not there.
    if (descriptor !== undefined) server.once('close', () => closeSync(descriptor));
  };
}

function listen(server: Server, path: string): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once('error', reject);
    server.listen(path, () => {
      server.off('error', reject);
      resolve();
    });
  });
}

/** @throws Error if there is no such group */
function groupNumber(group: string): number {
  if (/^\d+$/.test(group)) return Number(group);
  // group(5): name, password, number, members. What NSS has elsewhere is given by its number.
  const line = readFileSync('/etc/group', 'utf8')
    .split('\n')
    .find((one) => one.startsWith(`${group}:`));
  const number = line?.split(':')[2];
  if (number === undefined || !/^\d+$/.test(number))
    throw new Error(
      `admin.group: /etc/group has no group ${group}; create it (groupadd ${group}), or give its number`,
    );
  return Number(number);
}

function giveTo(gid: number, path: string, group: string): void {
  // The group this process has already (systemd: Group=): the unit's SystemCallFilter= refuses every chown.
  if (statSync(path).gid === gid) return;
  try {
    chownSync(path, process.getuid!(), gid);
  } catch {
    throw new Error(
      `admin.group: uid ${process.getuid!()} may not give the socket to group ${group}; run pinion with it as its group, under systemd with a drop-in: Group=${group} (systemctl edit pinion), else make this user a member`,
    );
  }
}

function removeFolder(folder: string): void {
  rmSync(`${folder}/s`, { force: true });
  rmdirSync(folder);
}

function explained({ code, message }: NodeJS.ErrnoException): Error {
  const hint = code === 'EEXIST' ? takenAdvice : bindHints[code ?? ''];
  return new Error(hint === undefined ? message : `${code}; ${hint}`);
}
