/**
 * The schema library, as far as the configuration uses it, in the form that is loaded soonest: `pinion check` is mostly loading. Its main
 * file as an ES module loads 76 files, 52 of them messages in other languages, though each sentence here is our own. As CommonJS it
 * takes fewer turns, and what has a place in `require.cache` is not read: https://nodejs.org/api/modules.html#requirecache
 *
 * A version of the library without this place fails here at once, in every test; one that reads its languages elsewhere only loads more.
 */
import { createRequire } from 'node:module';
import type * as zod from 'zod';

const require = createRequire(import.meta.url);

function library(): typeof zod {
  const languages = require.resolve('zod/v4/locales');
  const isOurs = require.cache[languages] === undefined;
  // A module that is there already, and has nothing in it.
  if (isOurs) require.cache[languages] = { id: languages, loaded: true, exports: {} } as NodeJS.Module;
  const loaded = require('zod') as typeof zod;
  // A file is judged once or now and then: a parser of its own for each map takes longer to make than it saves, with 4,000 backends too.
  loaded.config({ jitless: true });
  // Whoever else asks for them gets them.
  if (isOurs) delete require.cache[languages];
  return loaded;
}

const {
  array,
  boolean,
  discriminatedUnion,
  enum: enumeration,
  globalRegistry,
  int,
  literal,
  NEVER,
  number,
  object,
  record,
  strictObject,
  string,
  toJSONSchema,
  union,
  unknown,
  ZodOptional,
} = library();

type ZodOptional<T extends zod.ZodType> = zod.ZodOptional<T>;

export type { core, output, ZodRawShape, ZodType } from 'zod';
export {
  array,
  boolean,
  discriminatedUnion,
  enumeration as enum,
  globalRegistry,
  int,
  literal,
  NEVER,
  number,
  object,
  record,
  strictObject,
  string,
  toJSONSchema,
  union,
  unknown,
  ZodOptional,
};
