/**
 * One direction of a TCP relay: bytes, backpressure, and the end. Errors are not its business.
 *
 *    from --data--> to.write --false--> from.pause ... to 'drain' --> from.resume
 *    from --end---> to.end (after all bytes) --finish--> delivered
 */
import type { Socket } from 'node:net';

export interface RelayEvents {
  /** `bytes` were read from one side and handed to the other. */
  moved(bytes: number): void;
  /** `from` has ended; its last bytes may still be on their way. */
  ended(): void;
  /** Everything, the end included, is with the kernel of the other side. */
  delivered(): void;
}

export function relay(from: Socket, to: Socket, events: RelayEvents): void {
  from.on('data', (bytes: Buffer) => {
    if (to.destroyed) return;
    if (!to.write(bytes)) from.pause();
    events.moved(bytes.length);
  });
  to.on('drain', () => {
    if (!from.destroyed) from.resume();
  });
  from.on('end', () => {
    events.ended();
    to.end();
  });
  to.on('finish', () => events.delivered());
  from.resume();
}
