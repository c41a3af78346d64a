import { expect, test } from 'vitest';
import { BackendStates } from '../core/backend-states.ts';
import { listenersMax } from '../core/limits.ts';
import { PinTable } from '../core/pins/table.ts';
import { PinNames } from '../pins/names.ts';
import type { ClusterEvent } from './events.ts';
import { Members } from './members.ts';
import type { MemberRow } from './store.ts';

const noNames = {
  poolName: () => undefined,
  backendName: () => undefined,
  poolId: () => 0,
  knownPoolId: () => 0,
  backendId: () => 0,
};

function bench() {
  const events: ClusterEvent[] = [];
  const names = new PinNames(noNames, PinTable.create(10, { reportChanges: false }), 1);
  const identity = {
    host: 'h',
    version: '1',
    digest: () => 'd',
    startedAt: new Date(0),
    listeners: () => [],
    network: () => ({ addresses: [], ips: [], machine: '' }),
  };
  const members = new Members('me', identity, names, new BackendStates(), (event) => events.push(event));
  const versions = (): [number, number] => [members.version, members.networksVersion];
  return { members, events, versions };
}

function row(instance: string, more: Readonly<Record<string, unknown>> = {}): MemberRow {
  const said = { v: 1, incarnation: 'i', host: 'h', version: '1', digest: 'd', startedAt: '', ...more };
  return { instance, member: JSON.stringify(said), counts: '[]' };
}

test('no member has more listeners than an instance may', () => {
  const { members } = bench();
  const listeners = Array.from({ length: 60_000 }, () => 'a');
  members.heard([row('a', { listeners }), row('b', { listeners: ['l tcp://10.0.0.1:1'] })]);
  expect([...members.members.values()].map((one) => one.listeners.length)).toEqual([listenersMax, 1]);
});

test('what is heard again is no news, and where others listen is only when it has changed', () => {
  const { members, events, versions } = bench();
  expect(versions()).toEqual([0, 0]);
  const network = { addresses: ['udp 10.0.0.5:53'], ips: ['10.0.0.5'], machine: 'm' };
  members.heard([row('me'), row('a', network)]);
  const first = members.members.get('a');
  const [version, networks] = versions();
  members.heard([row('me'), row('a', network)]);
  expect(versions()).toEqual([version, networks]);
  expect(members.members.get('a'), 'it is not even read again').toBe(first);
  members.heard([row('me'), row('a', { ...network, flows: 7 })]);
  expect(versions()).toEqual([version + 1, networks]);
  expect(members.members.get('a')?.flows).toBe(7);
  expect(members.listeners().ips).toEqual(['10.0.0.5']);
  members.heard([row('me'), row('a', { ...network, flows: 7, ips: [] })]);
  expect(versions()).toEqual([version + 2, networks + 1]);
  members.heard([row('me'), row('a', { ...network, left: true })]);
  expect(versions()).toEqual([version + 3, networks + 2]);
  expect(members.listeners()).toEqual({ listeners: [], ips: [] });
  expect(events.map(({ event }) => event)).toEqual(['instance-joined', 'instance-left']);
});

test('that there is nobody else is known once it was heard', () => {
  const { members, versions } = bench();
  members.heard([row('me')]);
  expect(versions()[1]).toBe(1);
});
