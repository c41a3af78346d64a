/** When a conversation over UDP is over without having been quiet for long. */
import { expect, test } from 'vitest';
import type { Flow } from '../core/flow.ts';
import { listenerView } from './conformance/listener.ts';
import { isAnswered } from './quiet.ts';

test.each([
  [undefined, 9, 9, false],
  [1, 1, 0, false],
  [1, 1, 1, true],
  [1, 2, 1, false],
  [1, 2, 2, true],
  [1, 2, 3, true],
  [3, 1, 2, false],
  [3, 1, 3, true],
  [3, 2, 5, false],
  [3, 2, 6, true],
] as const)('session_ends_after %s: %d in, %d out: %s', (replies, datagramsIn, datagramsOut, isOver) => {
  const view = listenerView(0, 'udp', {});
  const plan = { ...view.plan, ...(replies && { sessionEndsAfter: { replies } }) };
  expect(isAnswered({ listener: { ...view, plan }, datagramsIn, datagramsOut } as Flow)).toBe(isOver);
});
