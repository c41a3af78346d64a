/**
 * The kinds of values the file has, each with its check, its one sentence for when it is wrong, and what an editor
 * is told about it. shape.ts puts them together.
 *
 * A sentence that starts with "must be" gets ", not <the value>" added by issues.ts.
 */
import type { Reading } from '../core/options.ts';
import { formatDuration } from '../core/quantities.ts';
import { durationPattern, formatPercent, percentPattern, readDuration, readPercent } from './units.ts';
import * as z from './zod.ts';

type JsonSchemaParts = Readonly<Record<string, unknown>>;

/**
 * Timers hold at most 2^31 - 1 ms (24.8 days); a longer one fires at once:
 * https://nodejs.org/api/timers.html#settimeoutcallback-delay-args
 */
const durationMsMax = 24 * 86_400_000;

/** Names appear in logs, metric labels, Redis keys and URLs. */
export const namePattern = /^[A-Za-z0-9][A-Za-z0-9._:[\]-]{0,63}$/;
export const nameRule =
  'must be a name: a letter or digit, then letters, digits and . _ : [ ] -, at most 64 characters';

/** A value read by a function of ours; `parts` is its JSON Schema. */
export function readBy<T>(read: (value: unknown) => Reading<T>, description: string, parts: JsonSchemaParts) {
  return z
    .unknown()
    .transform((value, context): T => {
      const reading = read(value);
      if ('value' in reading) return reading.value;
      // It goes on: of alternatives the library looks at all, and issues.ts takes the one that is nearest.
      context.addIssue({ code: 'custom', message: reading.refused, continue: true });
      return z.NEVER;
    })
    .meta({ description, ...parts });
}

interface DurationRange {
  readonly minMs?: number | undefined;
  readonly maxMs?: number | undefined;
  readonly zero?: boolean | undefined;
  readonly defaultMs?: number | undefined;
}

/** A duration in milliseconds, above 0 unless `zero`. */
export function duration(description: string, range: DurationRange) {
  const minMs = range.minMs ?? 1;
  const maxMs = range.maxMs ?? durationMsMax;
  const read = (value: unknown): Reading<number> => {
    const reading = readDuration(value);
    if ('refused' in reading || (reading.value === 0 && range.zero === true)) return reading;
    if (reading.value === 0) return { refused: 'must be above 0' };
    if (reading.value < minMs)
      return {
        refused: `must be ${range.zero === true ? '0 or ' : ''}at least ${formatDuration(minMs)}, not ${value}`,
      };
    if (reading.value > maxMs) return { refused: `must be at most ${formatDuration(maxMs)}, not ${value}` };
    return reading;
  };
  const text = { type: 'string', pattern: durationPattern };
  return readBy(read, description, {
    ...(range.zero === true ? { anyOf: [text, { const: 0 }] } : text),
    ...(range.defaultMs === undefined ? {} : { default: formatDuration(range.defaultMs) }),
  }).optional();
}

/** A share, 0 to 1, written as a percentage. */
export function percent(description: string, fallback: number) {
  return readBy(readPercent, description, {
    anyOf: [{ type: 'string', pattern: percentPattern }, { const: 0 }],
    default: formatPercent(fallback),
  }).optional();
}

/** A share, 0 to 1, written as a number; 0 only if `zero`. */
export function fraction(description: string, zero: boolean, fallback: number) {
  const error = zero ? 'must be a number from 0 to 1' : 'must be a number above 0, at most 1';
  const number = z.number({ error });
  return (zero ? number.min(0, { error }) : number.gt(0, { error }))
    .max(1, { error })
    .meta(described(description, fallback))
    .optional();
}

export function whole(description: string, min: number, max: number, fallback?: number) {
  const error = `must be a whole number from ${min} to ${max}`;
  return z
    .int({ error })
    .min(min, { error })
    .max(max, { error })
    .meta(described(description, fallback))
    .optional();
}

/** `auto`, or a whole number. */
export function autoOr(description: string, max: number, fallback: number | 'auto', min = 1) {
  const error = `must be auto or a whole number from ${min} to ${max}`;
  return z
    .union([z.enum(['auto']), z.int({ error }).min(min, { error }).max(max, { error })], { error })
    .meta(described(description, fallback))
    .optional();
}

export function choice<const T extends readonly string[]>(description: string, values: T, fallback?: string) {
  return z
    .enum(values, {
      error: values.length === 1 ? `must be ${values[0]}` : `must be one of ${values.join(', ')}`,
    })
    .meta(described(description, fallback))
    .optional();
}

export function flag(description: string, fallback: boolean) {
  return z.boolean({ error: 'must be true or false' }).meta(described(description, fallback)).optional();
}

/** A name as a value. Numbers and the like have to be quoted, or `1e3` and `1000` would be one name. */
export function name(description: string) {
  return z
    .string({ error: 'must be a name, in quotes if it looks like a number' })
    .regex(namePattern, { error: nameRule })
    .meta({ description });
}

/**
 * A map by names. The library does not look at what is under a key that it refuses, so check-pools.ts judges the keys,
 * by {@link nameRule}; editors are told of them here.
 */
export function byName<T extends z.ZodType>(description: string, shape: T, error: string) {
  return z
    .record(z.string(), shape, { error })
    .meta({ description, propertyNames: { type: 'string', pattern: namePattern.source } });
}

export function section<T extends z.ZodRawShape>(description: string, shape: T) {
  return z
    .strictObject(shape, {
      error: (issue) => (issue.code === 'invalid_type' ? 'must be a map of keys and values' : undefined),
    })
    .meta({ description });
}

export function described(
  description: string,
  fallback: unknown,
): { description: string; default?: unknown } {
  return fallback === undefined ? { description } : { description, default: fallback };
}

/** One flow is one descriptor at least, and fs.nr_open is 2^20 unless raised. */
export const flowsMax = 10_000_000;
