import { expect, test } from 'vitest';
import {
  as,
  built,
  duration,
  flag,
  group,
  type OptionsOf,
  optionalGroup,
  planOf,
  required,
  whole,
} from './options.ts';

interface Door {
  readonly width: number;
  readonly closesAfterMs: number;
  readonly isOpen?: boolean;
  readonly lock: { readonly turns: number; readonly key: string };
  readonly bell?: { readonly rings: number };
}

const options = {
  width: whole('The width.', 1, 10, 3),
  closesAfterMs: as(
    'closes_after',
    built(duration('When.', undefined), (written, { siblings, bindKind }) =>
      bindKind === 'unix' ? 0 : (written ?? (siblings.width === 10 ? 10 : 5)),
    ),
  ),
  isOpen: as(
    'open',
    built(flag('Whether.', false), (written) => written || undefined),
  ),
  lock: group('The lock.', {
    turns: whole('How often.', 1, 4, 2),
    key: built(whole('Which.', 0, 9), (written, { protocols }) => `${protocols[0] ?? 'any'} ${written}`),
  }),
  bell: optionalGroup('The bell.', { rings: as('times', required(whole('How often.', 1, 4))) }),
} satisfies OptionsOf<Door>;

test('what is not written is what that stands for, or stays out', () => {
  const plan = planOf<Door>(options, {});
  expect(plan).toEqual({ width: 3, closesAfterMs: 5, lock: { turns: 2, key: 'any undefined' } });
  expect(Object.keys(plan)).toEqual(['width', 'closesAfterMs', 'lock']);
});

test('what is written has the names of the plan', () => {
  const written = { width: 10, open: true, lock: { turns: 1, key: 7 }, bell: { times: 2 } };
  const plan = planOf<Door>(options, written, { protocols: ['udp'], bindKind: 'inet' });
  expect(plan).toEqual({
    width: 10,
    closesAfterMs: 10,
    isOpen: true,
    lock: { turns: 1, key: 'udp 7' },
    bell: { rings: 2 },
  });
  expect(planOf<Door>(options, { closes_after: 9, open: false }).isOpen).toBeUndefined();
  expect(planOf<Door>(options, { closes_after: 9 }).closesAfterMs).toBe(9);
  expect(planOf<Door>(options, {}, { protocols: [], bindKind: 'unix' }).closesAfterMs).toBe(0);
});
