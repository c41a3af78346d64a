/** The rooms of this process together: what is told of their lives, and how they are. */
import type { RoomClient, RoomEvents, RoomName, RoomStatus } from '../rooms/client.ts';
import type { RoomFault } from '../rooms/serve.ts';
import type { ControlWatcher } from './events.ts';
import { UnusableFiles } from './unusable-files.ts';

type Room = Pick<RoomClient<{ readonly type: 'break'; readonly how: RoomFault }, never>, 'status' | 'post'>;

export class Rooms {
  readonly files: UnusableFiles;
  private readonly watch: ControlWatcher;
  private readonly rooms: Room[] = [];

  constructor(watch: ControlWatcher) {
    this.watch = watch;
    this.files = new UnusableFiles(watch);
  }

  add(room: Pick<RoomClient<never, never>, 'status' | 'post'>): void {
    this.rooms.push(room as unknown as Room);
  }

  /** For the client of a room. `died` is called first when it has died. */
  events(room: RoomName, died: () => void = () => {}): RoomEvents {
    return {
      died: ({ message, restartInMs }) => {
        died();
        this.files.forget(room);
        this.watch({ event: 'room-died', room, message, restartInMs });
      },
      restarted: () => this.watch({ event: 'room-restarted', room }),
      file: (word) => this.files.hear(room, word),
    };
  }

  status(): RoomStatus[] {
    return this.rooms.map(({ status }) => status);
  }

  /** A thread of one of them is there, if only because it waits for a name to be looked up. */
  get hasThread(): boolean {
    return this.status().some(({ state }) => state === 'starting' || state === 'serving');
  }

  /** For tests: what a stranger might bring about. @returns false if there is no such room */
  break(name: RoomName, how: RoomFault): boolean {
    const room = this.rooms.find(({ status }) => status.room === name);
    return room?.post({ type: 'break', how }) ?? false;
  }
}
