import { expect, test } from 'vitest';
import { Cancellation } from './cancel.ts';

test('those who listen are told in their order, once, unless they have left', () => {
  const cancel = new Cancellation();
  const told: string[] = [];
  const left = (): void => void told.push('left');
  cancel.addEventListener('abort', () => told.push('first'));
  cancel.addEventListener('abort', left);
  cancel.addEventListener('abort', () => told.push(`second, ${cancel.aborted}`));
  cancel.removeEventListener('abort', left);
  cancel.throwIfAborted();
  cancel.abort();
  cancel.abort();
  expect(told).toEqual(['first', 'second, true']);
  expect(() => cancel.throwIfAborted()).toThrow('the check is over');
});
