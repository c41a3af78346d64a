/**
 * Options as data: what a user may write under a key, what it means, what an absent key stands for, where it has an effect and
 * which engine honours it. An option is one row in the table of what it belongs to, under the name that the plan has for it.
 * Whoever has options (a listener, a pool, a dialect of health checks) declares such a table; config/ makes of it the check of the
 * file, the warnings of what has no effect, the reference, the editors' schema and the plan. {@link OptionsOf} holds a table
 * against the type of its part of the plan: a row that is missing, or of another type, does not compile.
 */

/** What reading one value gives: the value, or why it was refused. */
export type Reading<T> = { readonly value: T } | { readonly refused: string };

interface Kinds {
  choice: { readonly values: readonly string[] };
  text: { readonly charactersMax: number };
  name: Readonly<Record<never, never>>;
  /** Milliseconds; written with a unit. */
  duration: { readonly zero?: boolean; readonly minMs?: number; readonly maxMs?: number };
  /** Bytes, above 0; written with a unit. */
  size: Readonly<Record<never, never>>;
  flag: Readonly<Record<never, never>>;
  whole: { readonly min: number; readonly max: number };
  /** A whole number, or `auto`. */
  autoOrWhole: { readonly min: number; readonly max: number };
  /** 0 to 1; written as a percentage. */
  percent: Readonly<Record<never, never>>;
  /** 0 to 1, or above 0 to 1; written as a number. */
  fraction: { readonly zero: boolean };
  /** A map of options. Its values are a map in the plan as well. */
  group: { readonly options: Options };
  /** A form of its own: `read` judges it, `takes` is its JSON Schema. */
  own: {
    readonly read: (value: unknown) => Reading<unknown>;
    readonly takes: Readonly<Record<string, unknown>>;
  };
  /** A field of config/, for what is no single value; `options` are those of a map that it may be. See config/form.ts. */
  form: { readonly field: unknown; readonly options?: Options };
}

type OptionKind = keyof Kinds;

/** What an option's part of the plan may depend on, besides what is written. */
export interface Around {
  /** Of the listener; of a pool: those of its listeners. */
  readonly protocols: readonly ('tcp' | 'udp')[];
  /** Of a listener. */
  readonly bindKind: 'inet' | 'unix';
  /** What is written beside it, by its key in the file. */
  readonly siblings: Readonly<Record<string, unknown>>;
}

const anywhere: Around = { protocols: [], bindKind: 'inet', siblings: {} };

export interface Rules {
  /** Its key in the file. Absent: as in the plan. */
  readonly key?: string;
  /** The file must have it. */
  readonly isRequired?: boolean;
  /** What has it: TCP listeners (unix sockets too), UDP listeners, or all but unix sockets. Absent: everything. */
  readonly scope?: 'tcp' | 'udp' | 'inet';
  /** It has an effect only while the option beside it (by its key in the file) has this value, or has not. */
  readonly needs?: { readonly key: string } & ({ readonly is: unknown } | { readonly isNot: unknown });
  /** The engines that honour it. Absent: all. */
  readonly engines?: readonly ('epoll' | 'portable')[];
  /** A change waits for a restart. */
  readonly waits?: boolean;
  /** A change waits until its socket is bound again: with another address, or at a restart. */
  readonly atBind?: boolean;
  /** What the plan has for what is written, or for nothing. Absent: the same, or what an absent key stands for. */
  readonly build?: (written: unknown, around: Around) => unknown;
}

/** `T` is what the plan has, `W` what is written, as its check has read it. */
export type Option<T, W = Exclude<T, undefined>> = {
  [K in OptionKind]: Rules & {
    readonly kind: K;
    readonly meaning: string;
    /** What an absent key stands for. */
    readonly fallback: T;
    /** Only a type. */
    readonly written?: W;
  } & Kinds[K];
}[OptionKind];

export type Options = Readonly<Record<string, Option<unknown, unknown>>>;

/** The table of a part of the plan: one row for each of its names. */
export type OptionsOf<P> = {
  readonly [K in keyof P]-?: Option<
    Record<never, never> extends Pick<P, K> ? P[K] | undefined : P[K],
    unknown
  >;
};

type ValueOf<O> = O extends { readonly fallback: infer T } ? T : never;

/** Those of a table that have a value always. */
type Certain<S extends Options> = { [K in keyof S]: undefined extends ValueOf<S[K]> ? never : K }[keyof S];

/** The values of a table of options. */
export type OptionValues<S extends Options> = {
  readonly [K in Certain<S>]: ValueOf<S[K]>;
} & { readonly [K in Exclude<keyof S, Certain<S>>]?: Exclude<ValueOf<S[K]>, undefined> };

/** The key in the file of an option that the plan calls `K`. */
export type KeyOf<O, K> = O extends { readonly key: infer Key extends string } ? Key : K;

/** What is written of a table of options, by the keys of the file. */
export type WrittenOf<S extends Options> = {
  readonly [K in keyof S as KeyOf<S[K], K>]?: S[K] extends Option<unknown, infer W> ? W | undefined : never;
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

/** A name, as listeners, pools and backends have. */
export function name(meaning: string): Option<string | undefined> {
  return { kind: 'name', meaning, fallback: undefined };
}

/**
 * @param fallbackMs milliseconds; undefined: an absent key asks for nothing
 * @param range what is taken; 0 only if `zero`, whatever `minMs` says
 */
export function duration<const F extends number | undefined>(
  meaning: string,
  fallbackMs: F,
  range: Kinds['duration'] = {},
): Option<number | Extract<F, undefined>> {
  return { kind: 'duration', meaning, ...range, fallback: fallbackMs as number | Extract<F, undefined> };
}

/** Bytes, above 0; an absent key asks for nothing. */
export function size(meaning: string): Option<number | undefined> {
  return { kind: 'size', meaning, fallback: undefined };
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

/** `auto`, or a whole number. */
export function autoOrWhole(
  meaning: string,
  min: number,
  max: number,
  fallback: number | 'auto',
): Option<number | 'auto'> {
  return { kind: 'autoOrWhole', meaning, min, max, fallback };
}

/** A share, 0 to 1, written as a percentage. */
export function percent(meaning: string, fallback: number): Option<number> {
  return { kind: 'percent', meaning, fallback };
}

/** A share, 0 to 1, written as a number. */
export function fraction(meaning: string, fallback: number, { zero = true } = {}): Option<number> {
  return { kind: 'fraction', meaning, zero, fallback };
}

/** Options that belong together, in a map of their own. */
export function group<const O extends Options>(
  meaning: string,
  options: O,
): Option<OptionValues<O>, WrittenOf<O>> {
  return { kind: 'group', meaning, options, fallback: valuesOf(options, {}) as OptionValues<O> };
}

/** The same; where the map is not there, the plan has nothing in its place. */
export function optionalGroup<const O extends Options>(
  meaning: string,
  options: O,
): Option<OptionValues<O> | undefined, WrittenOf<O>> {
  return { kind: 'group', meaning, options, fallback: undefined };
}

/**
 * @param read judges what the file has; what it refuses begins with "must be" to have the value added
 * @param takes its JSON Schema, for editors and the reference
 */
export function own<T>(
  meaning: string,
  read: (value: unknown) => Reading<T>,
  takes: Readonly<Record<string, unknown>>,
): Option<T | undefined>;
export function own<T>(
  meaning: string,
  read: (value: unknown) => Reading<T>,
  takes: Readonly<Record<string, unknown>>,
  fallback: T,
): Option<T>;
export function own<T>(
  meaning: string,
  read: (value: unknown) => Reading<T>,
  takes: Readonly<Record<string, unknown>>,
  fallback?: T,
): Option<T | undefined> {
  return { kind: 'own', meaning, read, takes, fallback };
}

/** The same option, which the file must have. */
export function required<T, W>(
  option: Option<T, W>,
): Option<Exclude<T, undefined>, W> & { isRequired: true } {
  return { ...option, isRequired: true } as Option<Exclude<T, undefined>, W> & { isRequired: true };
}

/** The same option under another key of the file than the plan has, with what else is to be said of it. */
export function as<const K extends string, O extends Option<unknown, unknown>>(
  key: K,
  option: O,
  rules: Omit<Rules, 'key' | 'build'> = {},
): O & { readonly key: K } {
  return { ...option, ...rules, key };
}

/**
 * The same option, with `build` to make what the plan has of what is written.
 * @param build gets undefined where nothing is
 */
export function built<T, W, O extends Option<unknown, W>>(
  option: O & Option<unknown, W>,
  build: (written: W | undefined, around: Around) => T,
): Option<T, W> & Pick<O, Extract<keyof O, 'key'>> {
  return { ...option, fallback: option.fallback, build } as unknown as Option<T, W> &
    Pick<O, Extract<keyof O, 'key'>>;
}

/**
 * What a plan has of the options of a table: what is written, and for what is not what that stands for. What is undefined
 * stays out.
 */
export function valuesOf(
  options: Options,
  written: Readonly<Record<string, unknown>>,
  around: Omit<Around, 'siblings'> = anywhere,
): Record<string, unknown> {
  const here = { ...around, siblings: written };
  const values: Record<string, unknown> = {};
  for (const [planName, option] of Object.entries(options)) {
    const value = partOf(option, written[option.key ?? planName], here);
    if (value !== undefined) values[planName] = value;
  }
  return values;
}

function partOf(option: Option<unknown, unknown>, written: unknown, around: Around): unknown {
  if (option.build !== undefined) return option.build(written, around);
  if (option.kind !== 'group') return written ?? option.fallback;
  if (written === undefined && option.fallback === undefined) return undefined;
  return valuesOf(option.options, (written ?? {}) as Record<string, unknown>, around);
}

/** Those of a table that is held against `P`: what the plan has. */
export function planOf<P>(
  options: OptionsOf<P>,
  written: object,
  around: Omit<Around, 'siblings'> = anywhere,
): P {
  return valuesOf(options as Options, written as Record<string, unknown>, around) as P;
}
