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
