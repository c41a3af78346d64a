/**
 * Options that are no single value: alternatives, a list, a map of its own kinds. Their field is made by hand; what the plan has
 * is made beside it, so such an option is one row of its table as well.
 */
import type * as z from 'zod';
import type { Around, Option, Options } from '../core/options.ts';

/**
 * @param field optional, unless the file must have it
 * @param build gets undefined where nothing is written
 * @param options those of the map that the field may be, to be judged as others are
 */
export function form<W, T>(
  field: z.ZodType<W>,
  build: (written: Exclude<W, undefined> | undefined, around: Around) => T,
  options?: Options,
): Option<T, Exclude<W, undefined>> {
  return {
    kind: 'form',
    meaning: '',
    field,
    fallback: undefined as T,
    build: build as (written: unknown, around: Around) => unknown,
    ...(options === undefined ? {} : { options }),
  };
}
