import { readdirSync } from 'node:fs';
import { expect, test } from 'vitest';
import { heldDescriptorsMax } from '../core/limits.ts';
import { EFD_CLOEXEC } from './constants.ts';
import { HeldDescriptors } from './held-descriptors.ts';
import { close, eventfd } from './libc.ts';

const isOpen = (fd: number): boolean => readdirSync('/proc/self/fd').includes(String(fd));

test('a successor closes what was held, and nothing that was given back', () => {
  const memory = new SharedArrayBuffer(heldDescriptorsMax / 8);
  const gone = new HeldDescriptors(memory);
  const fds = Array.from({ length: 40 }, () => eventfd(EFD_CLOEXEC));
  for (const fd of fds) gone.hold(fd);
  const [kept, closed, ...left] = fds as [(typeof fds)[0], (typeof fds)[0], ...typeof fds];
  gone.forget(kept);
  gone.forget(closed);
  close(closed);
  const next = new HeldDescriptors(memory);
  expect(next.closeLeft()).toBe(38);
  expect([kept, ...left].filter(isOpen)).toEqual([kept]);
  expect(next.closeLeft()).toBe(0);
  close(kept);
});

test('a number beyond those that are noted is left alone', () => {
  const held = new HeldDescriptors(new SharedArrayBuffer(heldDescriptorsMax / 8));
  for (const fd of [-1, heldDescriptorsMax]) {
    held.hold(fd as never);
    held.forget(fd as never);
  }
  expect(held.closeLeft()).toBe(0);
});
