/** Numbers as people read them: short enough for a column, with the unit always there. */

/** `0`, `2,104`, `20,000`. */
export function count(value: number): string {
  return Math.round(value).toLocaleString('en-US');
}

/** A number per second: `0`, `0.4`, `41`, `2,104`. */
export function rate(value: number): string {
  if (value === 0) return '0';
  return value < 9.95 ? value.toFixed(1).replace(/\.0$/, '') : count(value);
}

const byteUnits = ['B', 'kB', 'MB', 'GB', 'TB', 'PB'] as const;

/** Powers of a thousand: `0 B`, `812 B`, `1.2 MB`, `85 GB`. */
export function bytes(value: number): string {
  let amount = value;
  let unit = 0;
  // 999.6 kB would round to 1000 kB.
  while (amount >= 999.5 && unit < byteUnits.length - 1) {
    amount /= 1000;
    unit += 1;
  }
  const digits = unit === 0 || amount >= 9.95 ? 0 : 1;
  return `${amount.toFixed(digits)} ${byteUnits[unit]}`;
}

/** The two largest units, the second only where it says something: `0s`, `12s`, `4m30s`, `3h12m`, `3d4h`, `40d`. */
export function age(ms: number): string {
  const seconds = Math.max(0, Math.floor(ms / 1000));
  const [minutes, hours, days] = [
    Math.floor(seconds / 60),
    Math.floor(seconds / 3600),
    Math.floor(seconds / 86_400),
  ];
  if (minutes < 1) return `${seconds}s`;
  if (hours < 1) return two(minutes, 'm', seconds % 60, 's', 10);
  if (days < 1) return two(hours, 'h', minutes % 60, 'm', 10);
  return two(days, 'd', hours % 24, 'h', 10);
}

function two(large: number, unit: string, small: number, smallUnit: string, smallUntil: number): string {
  return `${large}${unit}${large < smallUntil && small > 0 ? `${small}${smallUnit}` : ''}`;
}

/** How long something took: `<1 ms` (where it is told in whole ones), `0.4 ms`, `12 ms`, `1.5 s`. */
export function took(ms: number): string {
  if (ms === 0) return '<1 ms';
  if (ms >= 999.5) return `${(ms / 1000).toFixed(ms < 9_950 ? 1 : 0)} s`;
  return `${ms < 9.95 ? ms.toFixed(1).replace(/\.0$/, '') : Math.round(ms)} ms`;
}

/** 0 to 1: `0 %`, `52 %`, `100 %`; `<1 %` and `>99 %` are never told as none or all. */
export function percent(share: number): string {
  const rounded = Math.round(share * 100);
  if (rounded === 0 && share > 0) return '<1 %';
  return rounded === 100 && share < 1 ? '>99 %' : `${rounded} %`;
}
