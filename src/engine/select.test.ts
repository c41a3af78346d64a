import assert from 'node:assert/strict';
import { expect, test } from 'vitest';
import { decideEngine, engineWarnings } from './select.ts';

const works = async (): Promise<undefined> => undefined;
const broken = async (): Promise<string> => 'epoll_create1: EPERM';

test('auto takes epoll where it works', async () => {
  assert.deepEqual(await decideEngine('auto', works), {
    engine: 'epoll',
    reason: 'epoll works here',
    works: true,
  });
});

test('auto falls back and says what is in the way', async () => {
  assert.deepEqual(await decideEngine('auto', broken), {
    engine: 'portable',
    reason: 'epoll does not work here: epoll_create1: EPERM',
    works: true,
    obstacle: 'epoll_create1: EPERM',
  });
});

test('a fall back is warned of, what was asked for is not', async () => {
  expect(engineWarnings(await decideEngine('auto', broken))).toEqual([
    expect.stringMatching(/^engine: the portable engine serves.*: epoll_create1: EPERM;/),
  ]);
  expect(engineWarnings(await decideEngine('auto', works))).toEqual([]);
  expect(engineWarnings(await decideEngine('portable', broken))).toEqual([]);
});

test('what is asked for by name is not replaced, and portable does not look', async () => {
  assert.equal((await decideEngine('epoll', broken)).engine, 'epoll');
  assert.match((await decideEngine('epoll', broken)).reason, /EPERM/);
  assert.equal((await decideEngine('epoll', broken)).works, false);
  const unasked = async (): Promise<never> => assert.fail('probed');
  assert.equal((await decideEngine('portable', unasked)).engine, 'portable');
});

test.runIf(process.platform === 'linux')('the real probe answers', async () => {
  assert.match((await decideEngine('auto')).engine, /^(epoll|portable)$/);
});
