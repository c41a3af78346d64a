/** Options (core/options.ts) as fields of the file. */
import type { KeyOf, Option, Options } from '../core/options.ts';
import {
  autoOr,
  choice,
  described,
  duration,
  flag,
  fraction,
  name,
  percent,
  readBy,
  section,
  whole,
} from './fields.ts';
import { readSizeAboveZero, sizePattern } from './units.ts';
import * as z from './zod.ts';

type FieldOf<O> =
  O extends Option<unknown, infer W>
    ? O extends { readonly isRequired: true }
      ? z.ZodType<W>
      : z.ZodOptional<z.ZodType<W>>
    : never;

export type FieldsOf<S extends Options> = { readonly [K in keyof S as KeyOf<S[K], K>]: FieldOf<S[K]> };

/** One field for each, by its key in the file. */
export function fieldsOf<const S extends Options>(options: S): FieldsOf<S> {
  const fields = Object.entries(options).map(([planName, option]) => [
    option.key ?? planName,
    fieldOf(option),
  ]);
  return Object.fromEntries(fields) as FieldsOf<S>;
}

/** A map of options. */
export function sectionOf<const S extends Options>(description: string, options: S) {
  return section(description, fieldsOf(options));
}

/** The keyword of the schema that says when a change of a key takes effect; one without it, and nothing around it with it: at once. */
export const takesEffectKeyword = 'x-takes-effect';
export type TakesEffect = 'restart' | 'next bind';

function fieldOf(option: Option<unknown, unknown>): z.ZodType {
  const made = kindOf(option);
  const effect: TakesEffect | undefined = option.waits ? 'restart' : option.atBind ? 'next bind' : undefined;
  const field = effect === undefined ? made : made.meta({ ...made.meta(), [takesEffectKeyword]: effect });
  return option.isRequired === true && field instanceof z.ZodOptional ? (field.unwrap() as z.ZodType) : field;
}

function kindOf(option: Option<unknown, unknown>): z.ZodType {
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
    case 'name':
      return name(meaning).optional();
    case 'duration': {
      const { zero, minMs, maxMs } = option;
      return duration(meaning, { zero, minMs, maxMs, defaultMs: fallback as number | undefined });
    }
    case 'size':
      return readBy(readSizeAboveZero, meaning, { type: 'string', pattern: sizePattern }).optional();
    case 'flag':
      return flag(meaning, fallback as boolean);
    case 'whole':
      return whole(meaning, option.min, option.max, fallback as number | undefined);
    case 'autoOrWhole':
      return autoOr(meaning, option.max, fallback as number | 'auto', option.min);
    case 'percent':
      return percent(meaning, fallback as number);
    case 'fraction':
      return fraction(meaning, option.zero, fallback as number);
    case 'group':
      return section(meaning, fieldsOf(option.options)).optional();
    case 'own':
      return readBy(option.read, meaning, option.takes).optional();
    case 'form':
      return option.field as z.ZodType;
  }
}
