/**
 * A file that lists backends as a pool does. Its folder is watched, as editors and Kubernetes put another file in its place, and
 * the file is looked at every ten seconds besides, for what the kernel does not tell (NFS, a link that leads elsewhere).
 *
 * A file that cannot be used is looked at a second time after a moment: somebody may be writing it.
 */
import { type FSWatcher, statSync, watch } from 'node:fs';
import { dirname, isAbsolute } from 'node:path';
import { own, required } from '../../core/options.ts';
import type { BackendPlan } from '../../core/plan.ts';
import { type Looking, type Source, sourceKind } from './source.ts';

/** A file is read so long after the last thing that happened in its folder. */
const calmMs = 200;
/** Until what cannot be used is looked at again and told. */
const doubtMs = 1_000;
const pollMs = 10_000;
/** The same while nothing is watched. */
const blindPollMs = 1_000;

const options = {
  path: required(
    own<string | undefined>(
      'file: an absolute path to a list of backends, in the form that `backends` has (YAML, or JSON).',
      (value) =>
        typeof value === 'string' && isAbsolute(value)
          ? { value }
          : { refused: 'must be an absolute path, such as /etc/pinion/arena.yaml' },
      { type: 'string' },
      undefined,
    ),
  ),
};

export const file = sourceKind({
  meaning: 'a file that lists them, and is read again when it changes',
  options,
  place: ({ path }) => path,
  start: (looking) => new ListFile(looking),
});

class ListFile implements Source {
  private readonly looking: Looking<typeof options>;
  private watcher: FSWatcher | undefined;
  /** The folder that is watched: another one may have taken its name. */
  private watched: string | undefined;
  private timer: NodeJS.Timeout | undefined;
  private pollTimer: NodeJS.Timeout | undefined;
  /** The file that was read last, and what came of it. */
  private seen: string | undefined;
  private wasGood = false;
  private last: readonly BackendPlan[] = [];
  /** One that could not be used, once. */
  private doubted: string | undefined;

  constructor(looking: Looking<typeof options>) {
    this.looking = looking;
    this.poll();
    // Not before whoever starts it knows it.
    this.lookIn(0);
  }

  stop(): void {
    clearTimeout(this.pollTimer);
    clearTimeout(this.timer);
    this.watcher?.close();
  }

  private poll(): void {
    const inMs = this.watcher === undefined ? blindPollMs : pollMs;
    this.pollTimer = setTimeout(() => {
      this.lookIn(0);
      this.poll();
    }, inMs);
  }

  private watch(): void {
    const folder = dirname(this.looking.options.path);
    const identity = stampOf(folder, (stat) => [stat.dev, stat.ino]);
    if (this.watcher !== undefined && identity === this.watched) return;
    this.watcher?.close();
    this.watcher = undefined;
    this.watched = identity;
    if (identity === undefined) return;
    try {
      this.watcher = watch(folder, () => this.lookIn(calmMs));
      // Whatever it is: the file is looked at all the same.
      this.watcher.on('error', () => {});
    } catch {
      // No inotify instance is left (fs.inotify.max_user_instances), or the folder may not be read.
      this.watched = undefined;
    }
  }

  private lookIn(ms: number): void {
    clearTimeout(this.timer);
    this.timer = setTimeout(() => {
      this.watch();
      this.look();
    }, ms);
  }

  private look(): void {
    const { options, means, tell } = this.looking;
    // Before it is read: what is written meanwhile is another file.
    const stamp = stampOf(options.path, (stat) => [
      stat.dev,
      stat.ino,
      stat.size,
      stat.mtimeNs,
      stat.ctimeNs,
    ]);
    if (stamp !== undefined && stamp === this.seen && this.wasGood) {
      tell(this.last);
      return;
    }
    const reading = means.readList(options.path);
    this.seen = stamp;
    this.wasGood = 'value' in reading;
    if ('value' in reading) {
      this.doubted = undefined;
      this.last = reading.value;
      tell(reading.value);
    } else if (this.doubted === (stamp ?? 'none')) tell(undefined, reading.refused);
    else {
      this.doubted = stamp ?? 'none';
      this.lookIn(doubtMs);
    }
  }
}

type Stat = ReturnType<typeof statOf>;

/** What tells one file at a path from another; undefined: there is none. */
function stampOf(path: string, facts: (stat: NonNullable<Stat>) => readonly bigint[]): string | undefined {
  const stat = statOf(path);
  return stat === undefined ? undefined : facts(stat).join(' ');
}

function statOf(path: string) {
  try {
    return statSync(path, { bigint: true });
  } catch {
    return undefined;
  }
}
