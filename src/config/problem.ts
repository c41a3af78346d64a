/**
 * A problem: one thing wrong in a configuration file, with the place a person has to go to. Reading never throws;
 * it returns these, all at once. A warning has the same form and does not stop anything.
 */
import { maskMessage, maskSecret } from './secret.ts';

/** Steps from the top of the file: keys of maps, positions in lists (from 0). */
export type Path = readonly (string | number)[];

export interface Problem {
  readonly file: string;
  /** From 1; 0 when the problem is the file as a whole. */
  readonly line: number;
  readonly column: number;
  /** `listeners[0].affinity.ttl`; empty when the problem is the file as a whole. */
  readonly path: string;
  readonly message: string;
}

/** `pinion.yaml:12:7: listeners[0].pool: there is no pool "gp"; did you mean pg?` Parts that are not known are left out. */
export function formatProblem(problem: Problem): string {
  const place = problem.line > 0 ? `${problem.file}:${problem.line}:${problem.column}` : problem.file;
  return problem.path === ''
    ? `${place}: ${problem.message}`
    : `${place}: ${problem.path}: ${problem.message}`;
}

/** A problem at `place`. No secret gets into it. */
export function problemIn(
  file: string,
  place: { readonly line: number; readonly column: number },
  path: string,
  message: string,
): Problem {
  return { file, line: place.line, column: place.column, path, message: maskMessage(message) };
}

/**
 * `listeners[0].affinity.ttl`; keys that hold more than letters, digits, - and _ are quoted: `pools["a.b"]`. A key may
 * be an address that stands in the wrong place: it is shown as any value is.
 */
export function formatPath(path: Path): string {
  let text = '';
  for (const step of path) {
    if (typeof step === 'number') text += `[${step}]`;
    else if (step.length > shownCharactersMax || !/^[\w-]+$/.test(step)) text += `[${showValue(step)}]`;
    else text += text === '' ? step : `.${step}`;
  }
  return text;
}

/** A text shows this much of a value of the file. Characters. */
const shownCharactersMax = 64;

/** Text of the file for a message: without secrets, shortened. */
export function shorten(text: string): string {
  const masked = maskSecret(text);
  if (masked.length <= shownCharactersMax) return masked;
  // Not through the middle of a pair of surrogates.
  return `${masked.slice(0, shownCharactersMax - 3).replace(/[\ud800-\udbff]$/, '')}...`;
}

/** A value as a person would recognise it in a message: quoted, shortened, without secrets, never a dump. */
export function showValue(value: unknown): string {
  if (typeof value === 'string') return JSON.stringify(shorten(value));
  if (value === null || value === undefined) return 'nothing';
  if (Array.isArray(value)) return 'a list';
  return typeof value === 'object' ? 'a map' : String(value);
}
