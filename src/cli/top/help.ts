/** What the keys of `top` do. */
import { type Line, span } from '../screen/line.ts';

const keys: readonly (readonly [string, string])[] = [
  ['1 - 5, Tab, left, right', 'another view: pools, listeners, flows, events, cluster'],
  ['up, down, j, k', 'the row above, below; PageUp and PageDown, g and G go further'],
  ['Enter', 'all that is known of this row'],
  ['/', 'show only rows with this text; Esc: all again'],
  ['s, S', 'sort by the next column; the other way round'],
  ['p', 'pause: the picture stays'],
  ['', ''],
  ['d', 'pools: drain the backend, or end its drain'],
  ['m', 'pools: take it into maintenance, or end that'],
  ['w', 'pools: give it another weight (configured: what the file says)'],
  ['v', 'pools: move its pins to another backend'],
  ['x', 'flows: end this connection'],
  ['e', 'explain: which backend a client gets, and why'],
  ['R', 'reload the configuration'],
  ['', 'Each of these says first what it will do, and waits for y.'],
  ['', ''],
  ['q, Ctrl-C', 'quit'],
];

export const helpLines: readonly Line[] = keys.map(([key, meaning]) => [
  span(key.padEnd(26), 'accent'),
  span(meaning),
]);
