/** Files of allow and deny, real, while they change under our hands. */
import { mkdtempSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { Access } from '../core/access.ts';
import { Address } from '../core/address.ts';
import type { ListenerPlan } from '../core/plan.ts';
import { listenerView } from '../engine/conformance/listener.ts';
import { AccessLists } from './access-lists.ts';
import type { ControlEvent } from './events.ts';

let folder: string;
let path: string;
let lists: AccessLists;
let events: ControlEvent[];
let changes: number;

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'pinion-access-'));
  path = join(folder, 'denied.txt');
  events = [];
  changes = 0;
  lists = new AccessLists({ watch: (event) => events.push(event), changed: () => changes++ });
});

afterEach(() => {
  lists.stop();
  rmSync(folder, { recursive: true, force: true });
});

function listenerWith(lists: Pick<ListenerPlan, 'allow' | 'deny'>, name = 'front'): ListenerPlan {
  return { ...listenerView(0, 'tcp', { name }).plan, ...lists };
}

function replace(text: string): void {
  writeFileSync(`${path}.new`, text);
  renameSync(`${path}.new`, path);
}

function denies(listener: ListenerPlan, ip: string): boolean {
  return new Access(lists.view(listener).access!).denies(Address.parse(ip, 0)!);
}

const soon = { timeout: 8_000, interval: 20 };

test('a file that changes is another list, one that goes bad is none, and is told once', async () => {
  writeFileSync(path, '192.0.2.1\n');
  const listener = listenerWith({ deny: { networks: ['10.0.0.0/8'], files: [path] } });
  lists.prepare({ listeners: [listener] });
  const { version } = lists.view(listener).access!;
  expect(lists.view(listener).access!.version, 'the same lists').toBe(version);
  expect(['192.0.2.1', '192.0.2.2', '10.1.2.3'].map((ip) => denies(listener, ip))).toEqual([
    true,
    false,
    true,
  ]);

  replace('192.0.2.2\n');
  await vi.waitFor(() => expect(changes).toBe(1), soon);
  expect(lists.view(listener).access!.version).not.toBe(version);
  expect(['192.0.2.1', '192.0.2.2', '10.1.2.3'].map((ip) => denies(listener, ip))).toEqual([
    false,
    true,
    true,
  ]);
  expect(events).toEqual([{ event: 'access-list-read', file: path, entries: 1 }]);

  replace('192.0.2.3\nnobody\n');
  await vi.waitFor(() => expect(events).toHaveLength(2), soon);
  expect(events[1]).toMatchObject({
    event: 'access-list-failed',
    message: expect.stringMatching(/denied\.txt:2: "nobody" is neither/),
    kept: 1,
  });
  expect(denies(listener, '192.0.2.2')).toBe(true);
  expect(lists.status()).toMatchObject([{ file: path, entries: 1, failures: 1, fault: expect.any(String) }]);

  replace('192.0.2.3\n');
  await vi.waitFor(() => expect(changes).toBe(2), soon);
  expect(denies(listener, '192.0.2.3')).toBe(true);
  expect(lists.status()).toMatchObject([{ entries: 1, failures: 1, fault: null }]);
  expect(events).toHaveLength(3);
});

test('one copy serves all that name it, and it is forgotten with the last', () => {
  writeFileSync(path, '192.0.2.1\n');
  const access = { allow: { networks: [], files: [path] } };
  const [one, other] = [listenerWith(access, 'one'), listenerWith(access, 'other')];
  lists.prepare({ listeners: [one, other] });
  expect(lists.view(one).access!.allow![0]!.shared).toBe(lists.view(other).access!.allow![0]!.shared);
  lists.settle({ listeners: [one] });
  expect(lists.status()).toHaveLength(1);
  lists.settle({ listeners: [] });
  expect(lists.status()).toEqual([]);
});

test('one that cannot be used refuses the plan, and none is kept of it', () => {
  writeFileSync(path, '192.0.2.1\n');
  const good = listenerWith({ deny: { networks: [], files: [path] } });
  const bad = listenerWith({ allow: { networks: [], files: [`${path}.no`] } }, 'other');
  expect(() => lists.prepare({ listeners: [good, bad] })).toThrow(
    `listener other: allow: ${path}.no: there is no such file`,
  );
  expect(lists.status()).toEqual([]);
});
