/**
 * Durations and sizes as people write them: `200ms`, `1h30m`, `64KiB`. A bare number is refused, because nobody
 * remembers whether it was seconds or milliseconds; 0 needs no unit.
 */
import type { Reading } from '../core/options.ts';
import { durationUnits, sizeUnits } from '../core/quantities.ts';
import { showValue } from './problem.ts';

type Units = readonly (readonly [string, number])[];

/** A count and its unit at the start of a text. */
const leadingCounts: ReadonlyMap<string, RegExp> = new Map(
  [...durationUnits, ...sizeUnits].map(([unit]) => [
    unit,
    new RegExp(`^(\\d+(?:\\.\\d+)?)${unit}(?![A-Za-z])`),
  ]),
);

/** The pattern of {@link readDuration}'s text form, for editors. */
export const durationPattern =
  '^(?=.)(\\d+(\\.\\d+)?d)?(\\d+(\\.\\d+)?h)?(\\d+(\\.\\d+)?m)?(\\d+(\\.\\d+)?s)?(\\d+ms)?$|^0$';

/** Reads `200ms`, `30s`, `1h30m`, `1.5s` or 0 into whole milliseconds; parts from large to small, each unit once. */
export function readDuration(value: unknown): Reading<number> {
  return readQuantity(value, durationUnits, 'duration', 's', 'ms, s, m, h or d, such as 200ms, 30s or 1h30m');
}

/** Reads `64KiB`, `1MiB`, `2MB` or 0 into whole bytes. */
export function readSize(value: unknown): Reading<number> {
  return readQuantity(
    value,
    sizeUnits,
    'size',
    'KiB',
    'B, KiB, MiB or GiB (kB, MB or GB count in 1000), such as 64KiB',
  );
}

/** The letters of {@link readSize}'s text form, for editors. */
export const sizePattern =
  '^(?=.)(\\d+(\\.\\d+)?GiB)?(\\d+(\\.\\d+)?GB)?(\\d+(\\.\\d+)?MiB)?(\\d+(\\.\\d+)?MB)?(\\d+(\\.\\d+)?KiB)?(\\d+(\\.\\d+)?kB)?(\\d+B)?$';

/** As {@link readSize}, without 0. */
export function readSizeAboveZero(value: unknown): Reading<number> {
  const reading = readSize(value);
  if ('refused' in reading || reading.value > 0) return reading;
  return { refused: 'must be more than 0 bytes, such as 16MiB, not 0' };
}

/** The pattern of {@link readPercent}'s text form, for editors. */
export const percentPattern = '^(100|[0-9]{1,2})(\\.[0-9]+)? ?%$';

/** Reads `70%`, `12.5%` or 0 into a share, 0 to 1. */
export function readPercent(value: unknown): Reading<number> {
  if (value === 0 || value === '0') return { value: 0 };
  const refused = {
    refused: `must be a percentage from 0 to 100% with its sign, such as 70%, not ${showValue(value)}`,
  };
  if (typeof value !== 'string' || !new RegExp(percentPattern).test(value)) return refused;
  const percent = Number.parseFloat(value);
  return percent <= 100 ? { value: percent / 100 } : refused;
}

/** A share in the form {@link readPercent} reads. */
export function formatPercent(share: number): string {
  return share === 0 ? '0' : `${Number((share * 100).toFixed(4))}%`;
}

function readQuantity(
  value: unknown,
  units: Units,
  noun: string,
  usual: string,
  form: string,
): Reading<number> {
  if (value === 0 || value === '0') return { value: 0 };
  const isNumber = Number.isFinite(value) || (typeof value === 'string' && /^-?\d+(\.\d+)?$/.test(value));
  if (isNumber) {
    const text = String(value);
    if (text.startsWith('-')) return { refused: `must not be negative, not ${text}` };
    return { refused: `needs a unit: write ${text}${usual} if that is meant (units: ${form})` };
  }
  const refused = { refused: `is not a ${noun}: ${showValue(value)}; write a number with ${form}` };
  if (typeof value !== 'string') return refused;
  let rest = value;
  let total = 0;
  for (const [unit, factor] of units) {
    const match = leadingCounts.get(unit)!.exec(rest);
    if (match === null) continue;
    total += Number(match[1]) * factor;
    rest = rest.slice(match[0].length);
  }
  if (rest !== '' || value === '') return refused;
  // 1.1s is 1100.0000000000001 in binary: forgive the representation, not a real fraction.
  const whole = Math.round(total);
  if (Math.abs(total - whole) > 1e-6 * Math.max(1, total) || !Number.isSafeInteger(whole)) {
    return { refused: `is not a whole number of ${units.at(-1)![0]}: ${showValue(value)}` };
  }
  return { value: whole };
}
