/** A file that lists backends as a pool does, and is read again when it changes (control/watched-file.ts). */
import { isAbsolute } from 'node:path';
import { own, required } from '../../core/options.ts';
import { WatchedFile } from '../watched-file.ts';
import { sourceKind } from './source.ts';

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
  start: ({ options: { path }, means, tell }) => {
    const watched = new WatchedFile({ path, read: means.readList, tell });
    watched.start();
    return watched;
  },
});
