import { expect, test } from 'vitest';
import { type HealthState, initialHealth, observe } from './health.ts';

const thresholds = { fall: 3, rise: 2 };

/** Feeds observations (`+` pass, `-` fail) and returns where the state flipped: `D` went down, `U` went up, `.` nothing. */
function story(
  observations: string,
  start: HealthState = { ...initialHealth(true), observed: true },
): string {
  let state = start;
  let flips = '';
  for (const observation of observations) {
    const result = observe(state, observation === '+', thresholds);
    state = result.state;
    flips += result.flipped ? (state.up ? 'U' : 'D') : '.';
  }
  return flips;
}

test.each([
  ['+++', '...'],
  ['---', '..D'],
  ['--+--+--', '........'],
  ['-----', '..D..'],
  ['---++', '..D.U'],
  ['---+-+-+', '..D.....'],
  ['---++---', '..D.U..D'],
])('%s gives %s', (observations, flips) => {
  expect(story(observations)).toBe(flips);
});

test('the first observation decides alone', () => {
  expect(story('-', initialHealth(true))).toBe('D');
  expect(story('+--', initialHealth(true))).toBe('...');
});
