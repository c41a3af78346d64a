/** Numbers, times and names as people read them. Pure. */

/** 1,234; 12.3k; 4.56M. */
export function count(value: number): string {
  if (value < 10_000) return Math.round(value).toLocaleString('en-US');
  const [size, unit] = value < 1e6 ? [1e3, 'k'] : value < 1e9 ? [1e6, 'M'] : [1e9, 'G'];
  return `${threeDigits(value / size)}${unit}`;
}

/** Per second: small ones keep a decimal. */
export function rate(value: number): string {
  return value > 0 && value < 10 ? value.toFixed(1).replace(/\.0$/, '') : count(value);
}

/** Of bytes a second, what networks are measured in. */
export function bits(bytesPerSecond: number): string {
  return scaled(bytesPerSecond * 8, 1e3, ['bit/s', 'kbit/s', 'Mbit/s', 'Gbit/s']);
}

export function bytes(value: number): string {
  return scaled(value, 1024, ['B', 'KiB', 'MiB', 'GiB', 'TiB']);
}

function scaled(value: number, base: number, units: readonly string[]): string {
  let scale = 0;
  let rest = value;
  while (rest >= base && scale < units.length - 1) {
    rest /= base;
    scale++;
  }
  return `${scale === 0 ? Math.round(rest) : threeDigits(rest)} ${units[scale]}`;
}

function threeDigits(value: number): string {
  return value >= 100 ? value.toFixed(0) : value >= 10 ? value.toFixed(1) : value.toFixed(2);
}

/** Its two largest units: `3 d 4 h`, `12 s`, `0.4 ms`. */
export function duration(ms: number): string {
  if (ms < 1_000) return ms < 10 ? `${+ms.toFixed(1)} ms` : `${Math.round(ms)} ms`;
  const seconds = Math.floor(ms / 1_000);
  if (seconds < 60) return `${seconds} s`;
  const parts = [
    [Math.floor(seconds / 86_400), 'd'],
    [Math.floor(seconds / 3_600) % 24, 'h'],
    [Math.floor(seconds / 60) % 60, 'min'],
    [seconds % 60, 's'],
  ] as const;
  const first = parts.findIndex(([size]) => size > 0);
  return parts
    .slice(first, first + 2)
    .filter(([size], i) => i === 0 || size > 0)
    .map(([size, unit]) => `${size} ${unit}`)
    .join(' ');
}

/** How long ago, for what happened a moment or a year ago. */
export function ago(ms: number): string {
  return ms < 1_500 ? 'now' : `${duration(ms)} ago`;
}

/** A part of one: `34 %`. */
export function percent(part: number): string {
  const value = part * 100;
  return `${value > 0 && value < 10 && !Number.isInteger(value) ? value.toFixed(1) : Math.round(value)} %`;
}

/** `one flow`, `412 flows`. */
export function plural(value: number, one: string, many = `${one}s`): string {
  return `${count(value)} ${value === 1 ? one : many}`;
}

/** The time of day of an ISO time, as the clock of the reader has it; of another day, the day too. */
export function clock(iso: string, now = new Date()): string {
  const date = new Date(iso);
  if (Number.isNaN(date.getTime())) return iso;
  const time = date.toLocaleTimeString('en-GB');
  if (date.toDateString() === now.toDateString()) return time;
  return `${date.toLocaleDateString('en-GB', { day: 'numeric', month: 'short' })} ${time}`;
}
