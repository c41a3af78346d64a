/**
 * Options as data: what a user may write under a key, what it means and what an absent key stands for. A part of the program
 * that has options of its own (a dialect of health checks) declares them where it uses them; config/ makes of that the check of
 * the file, the reference and the editors' schema, and the plan carries the values under the same keys.
 */

/** What reading one value gives: the value, or why it was refused. */
export type Reading<T> = { readonly value: T } | { readonly refused: string };

interface Kinds {
  choice: { readonly values: readonly string[] };
  text: { readonly charactersMax: number };
  /** Milliseconds; written with a unit. */
  duration: { readonly zero: boolean };
  flag: Readonly<Record<never, never>>;
  whole: { readonly min: number; readonly max: number };
  /** A map of options. Its values are a map in the plan as well. */
  group: { readonly options: Options };
  /** A form of its own: `read` judges it, `takes` is its JSON Schema. */
  own: {
    readonly read: (value: unknown) => Reading<unknown>;
    readonly takes: Readonly<Record<string, unknown>>;
  };
}

type OptionKind = keyof Kinds;

/** `T` is what the plan has. */
export type Option<T> = {
  [K in OptionKind]: {
    readonly kind: K;
    readonly meaning: string;
    /** What an absent key stands for. */
    readonly fallback: T;
    /** The file must have it. */
    readonly isRequired?: boolean;
  } & Kinds[K];
}[OptionKind];

export type Options = Readonly<Record<string, Option<unknown>>>;

/** The values of a table of options. */
export type OptionValues<S extends Options> = {
  readonly [K in keyof S]: S[K] extends Option<infer T> ? T : never;
};

/** No text of a check is longer, nor a path. Characters. */
const charactersMax = 4_096;

export function choice<const V extends readonly string[], const F extends V[number] | undefined>(
  meaning: string,
  values: V,
  fallback: F,
): Option<V[number] | Extract<F, undefined>> {
  return { kind: 'choice', meaning, values, fallback: fallback as V[number] | Extract<F, undefined> };
}

export function text<const F extends string | undefined>(
  meaning: string,
  fallback: F,
): Option<string | Extract<F, undefined>> {
  return { kind: 'text', meaning, charactersMax, fallback: fallback as string | Extract<F, undefined> };
}

/** @param fallbackMs milliseconds; undefined: an absent key asks for nothing */
export function duration<const F extends number | undefined>(
  meaning: string,
  fallbackMs: F,
  { zero = false } = {},
): Option<number | Extract<F, undefined>> {
  return { kind: 'duration', meaning, zero, fallback: fallbackMs as number | Extract<F, undefined> };
}

export function flag(meaning: string, fallback: boolean): Option<boolean> {
  return { kind: 'flag', meaning, fallback };
}

/** A whole number. */
export function whole(meaning: string, min: number, max: number, fallback: number): Option<number>;
export function whole(meaning: string, min: number, max: number): Option<number | undefined>;
export function whole(
  meaning: string,
  min: number,
  max: number,
  fallback?: number,
): Option<number | undefined> {
  return { kind: 'whole', meaning, min, max, fallback };
}

/** Options that belong together, in a map of their own. */
export function group<const O extends Options>(meaning: string, options: O): Option<OptionValues<O>> {
  return { kind: 'group', meaning, options, fallback: valuesOf(options, {}) as OptionValues<O> };
}

/** What a plan has of the options of a table: what is written, and for what is not what that stands for. */
export function valuesOf(
  options: Options,
  written: Readonly<Record<string, unknown>>,
): Record<string, unknown> {
  return Object.fromEntries(
    Object.entries(options).map(([key, option]) => {
      const value = written[key];
      if (value === undefined) return [key, option.fallback];
      return [
        key,
        option.kind === 'group' ? valuesOf(option.options, value as Record<string, unknown>) : value,
      ];
    }),
  );
}

/**
 * @param read judges what the file has; what it refuses begins with "must be" to have the value added
 * @param takes its JSON Schema, for editors and the reference
 */
export function own<T>(
  meaning: string,
  read: (value: unknown) => Reading<T>,
  takes: Readonly<Record<string, unknown>>,
  fallback: T,
): Option<T> {
  return { kind: 'own', meaning, read, takes, fallback };
}

/** The same option, which the file must have. */
export function required<T>(option: Option<T>): Option<Exclude<T, undefined>> {
  return { ...option, isRequired: true } as Option<Exclude<T, undefined>>;
}
