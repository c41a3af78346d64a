/**
 * What a scalar means: the core schema of YAML 1.2.2, section 10.3.2, and the tags that ask for one of its types.
 */
import type { Reading } from '../../core/options.ts';
import { shorten } from '../problem.ts';

type Scalar = string | number | boolean | null;

const integer = /^[-+]?[0-9]+$/;
const octal = /^0o[0-7]+$/;
const hexadecimal = /^0x[0-9a-fA-F]+$/;
const decimal = /^[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?$/;
const infinity = /^[-+]?\.(?:inf|Inf|INF)$/;
const notNumber = /^\.(?:nan|NaN|NAN)$/;

/** Longer texts are names, addresses and mistakes. Characters. */
const resolvedCharactersMax = 400;

/** A plain scalar without a tag. */
export function resolvePlain(text: string): Scalar {
  if (text.length > resolvedCharactersMax) return text;
  return isNull(text) ? null : (booleanOf(text) ?? numberOf(text) ?? text);
}

const byTag: Readonly<Record<string, (text: string) => Scalar | undefined>> = {
  '!': (text) => text,
  '!!str': (text) => text,
  '!!int': (text) =>
    integer.test(text) || octal.test(text) || hexadecimal.test(text) ? numberOf(text) : undefined,
  '!!float': numberOf,
  '!!bool': booleanOf,
  '!!null': (text) => (isNull(text) ? null : undefined),
};

/** A scalar with a tag, however it is quoted. */
export function resolveTagged(text: string, tag: string): Reading<Scalar> {
  const resolve = Object.hasOwn(byTag, tag) ? byTag[tag] : undefined;
  if (resolve === undefined) return { refused: `unresolved tag: ${shorten(tag)}` };
  const value =
    text.length > resolvedCharactersMax && tag !== '!' && tag !== '!!str' ? undefined : resolve(text);
  return value === undefined ? { refused: `this is no ${tag}` } : { value };
}

function isNull(text: string): boolean {
  return text === '' || text === '~' || text === 'null' || text === 'Null' || text === 'NULL';
}

function booleanOf(text: string): boolean | undefined {
  switch (text) {
    case 'true':
    case 'True':
    case 'TRUE':
      return true;
    case 'false':
    case 'False':
    case 'FALSE':
      return false;
    default:
      return undefined;
  }
}

function numberOf(text: string): number | undefined {
  if (decimal.test(text) || octal.test(text) || hexadecimal.test(text)) return Number(text);
  if (infinity.test(text)) return text.startsWith('-') ? Number.NEGATIVE_INFINITY : Number.POSITIVE_INFINITY;
  return notNumber.test(text) ? Number.NaN : undefined;
}
