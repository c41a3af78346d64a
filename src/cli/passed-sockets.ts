/** The sockets that a service manager passes to this process, as its environment says (sd_listen_fds(3)). */
import { PassedSockets } from '../control/passed-sockets.ts';
import type { PassedSocket } from '../core/passed-socket.ts';

/** The first descriptor that is passed: SD_LISTEN_FDS_START. */
const firstDescriptor = 3;

/**
 * Takes what is there out of the environment, as no program that this process starts has them. What was meant for another process
 * (`LISTEN_PID`) is left alone: addresses are bound as if nothing were passed.
 * @param complain a line for each that is of no use
 * @returns undefined: none are passed
 */
export async function takePassedSockets(
  environment: NodeJS.ProcessEnv,
  complain: (line: string) => void,
): Promise<PassedSockets | undefined> {
  const { LISTEN_PID: pid, LISTEN_FDS: fds, LISTEN_FDNAMES: names } = environment;
  for (const name of ['LISTEN_PID', 'LISTEN_FDS', 'LISTEN_FDNAMES']) delete environment[name];
  const count = Number(fds ?? 0);
  if (Number(pid) !== process.pid || !Number.isInteger(count) || count <= 0) return undefined;
  let linux: typeof import('../linux/passed-sockets.ts');
  try {
    linux = await import('../linux/passed-sockets.ts');
  } catch (error) {
    complain(`the ${count} sockets that are passed cannot be used: ${(error as Error).message}`);
    return undefined;
  }
  const called = (names ?? '').split(':');
  const sockets: PassedSocket[] = [];
  for (let i = 0; i < count; i++) {
    const name = called[i] ?? '';
    const socket = linux.passedSocket(firstDescriptor + i, name);
    if (typeof socket !== 'string') sockets.push(socket);
    else complain(`descriptor ${firstDescriptor + i}${name && ` (${name})`}, which is passed: ${socket}`);
  }
  return sockets.length === 0 ? undefined : new PassedSockets(sockets, linux.duplicateSocket);
}
