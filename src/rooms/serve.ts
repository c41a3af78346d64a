/**
 * A room's own end: signs of life, and messages in and out. The entry module of a room calls {@link serveRoom} once.
 *
 * What goes to control is bounded as well: while control is behind by too many messages, those that may be lost are.
 */
import { parentPort, workerData } from 'node:worker_threads';
import { roomMessagesWaitingMax } from '../core/limits.ts';
import type { RoomData } from './client.ts';
import { keptFiles } from './kept-files.ts';
import { Pulse } from './pulse.ts';

/** A quarter of the time between two of control's looks: a turn of the loop that takes a second is no silence. */
const beatMs = 250;

/** @returns false if control is behind: the message is lost */
export type RoomPost<From> = (message: From) => boolean;

/** Asked for by tests alone (`PINION_TEST_FAULTS=1`): what a stranger might bring about by a defect of ours. */
export type RoomFault = 'throw' | 'reject' | 'loop' | 'fill-heap' | 'exit';

/**
 * @param make gets what control's client gave as data, and the way back; returns who hears control's messages
 */
export async function serveRoom<Data, To extends { readonly type: string }, From>(
  make: (data: Data, post: RoomPost<From>) => Promise<(message: To) => void> | ((message: To) => void),
): Promise<void> {
  const port = parentPort;
  if (port === null) throw new Error('this is the entry of a thread');
  const { pulse: shared, kept, data } = workerData as RoomData;
  const pulse = new Pulse(shared);
  let posted = 0;
  const post = (message: unknown): boolean => {
    if (((posted - pulse.read('takenByControl')) | 0) >= roomMessagesWaitingMax) return false;
    posted++;
    port.postMessage(message);
    return true;
  };
  keptFiles.inherit(kept);
  keptFiles.tell = (word) => post({ type: 'file', word });
  keptFiles.handOver = (key, texts) => post({ type: 'kept', key, texts });
  const hear = await make(data as Data, post);
  port.on('message', (message: To | { readonly type: 'break'; readonly how: RoomFault }) => {
    pulse.add('takenByRoom');
    if (isBreak(message)) breakRoom(message.how);
    else hear(message);
  });
  pulse.add('beats');
  setInterval(() => pulse.add('beats'), beatMs);
  posted++;
  port.postMessage({ type: 'ready' });
}

/** Leaves at once. */
export function leaveRoom(): never {
  process.exit(0);
}

function isBreak(message: {
  readonly type: string;
}): message is { readonly type: 'break'; readonly how: RoomFault } {
  return message.type === 'break';
}

function breakRoom(how: RoomFault): void {
  switch (how) {
    case 'throw':
      throw new Error('thrown on request, to test that it costs the room alone');
    case 'reject':
      void Promise.reject(new Error('rejected on request, to test that it costs the room alone'));
      break;
    case 'loop':
      for (;;);
    case 'fill-heap': {
      const kept: object[] = [];
      for (;;) kept.push({ place: kept.length });
    }
    case 'exit':
      process.exit(1);
  }
}
