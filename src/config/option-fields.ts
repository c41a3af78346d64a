/** Options that a part of the program declares for itself (core/options.ts) as fields of the file. */
import * as z from 'zod';
import type { Option, Options } from '../core/options.ts';
import { choice, described, duration, flag, readBy, section, whole } from './fields.ts';

/** One field for each, by its key. */
export function fieldsOf(options: Options): Record<string, z.ZodType> {
  return Object.fromEntries(Object.entries(options).map(([key, option]) => [key, fieldOf(option)]));
}

function fieldOf(option: Option<unknown>): z.ZodType {
  const field = kindOf(option);
  return option.isRequired === true && field instanceof z.ZodOptional ? (field.unwrap() as z.ZodType) : field;
}

function kindOf(option: Option<unknown>): z.ZodType {
  const { meaning, fallback } = option;
  switch (option.kind) {
    case 'choice':
      return choice(meaning, option.values, fallback as string | undefined);
    case 'text':
      return z
        .string({ error: 'must be a text, in quotes if it looks like a number' })
        .max(option.charactersMax, { error: `must have at most ${option.charactersMax} characters` })
        .meta(described(meaning, fallback))
        .optional();
    case 'duration':
      return duration(meaning, {
        zero: option.zero,
        ...(fallback === undefined ? {} : { defaultMs: fallback as number }),
      });
    case 'flag':
      return flag(meaning, fallback as boolean);
    case 'whole':
      return whole(meaning, option.min, option.max, fallback as number | undefined);
    case 'group':
      return section(meaning, fieldsOf(option.options)).optional();
    case 'own':
      return readBy(option.read, meaning, option.takes).optional();
  }
}
