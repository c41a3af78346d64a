/** The other instances: who there is, whether all have the same configuration, and how it stands with Redis. */
import type { ClusterRow } from '../api/shapes.ts';
import { h, Rows, say, set, type View } from './dom.ts';
import type { Look } from './look.ts';
import { type Column, cells, heads, table } from './table.ts';
import { ago, count, plural } from './words.ts';

type Member = ClusterRow['members'][number];

const columns = [
  { id: 'host', name: 'Host' },
  { id: 'version', name: 'Version' },
  { id: 'digest', name: 'Configuration' },
  { id: 'flows', name: 'Flows', isNumber: true },
  { id: 'pins', name: 'Pins', isNumber: true },
  { id: 'started', name: 'Started' },
] as const satisfies readonly Column<string>[];

export function clusterView(): View<Look> {
  const title = h('h2');
  const chip = h('span', { class: 'chip' });
  const facts = h('dl', { class: 'facts' });
  const body = h('tbody');
  let nowMs = 0;
  const rows = new Rows<Member>(
    body,
    ({ instance }) => instance,
    (first) => memberRow(first, () => nowMs),
  );
  const members = table('members', heads([{ id: 'instance', name: 'Instance' }, ...columns]), body);
  let drawn = '';
  return {
    element: h(
      'section',
      { 'aria-label': 'Cluster' },
      h(
        'div',
        { class: 'card' },
        h('header', {}, title, chip),
        h('div', { class: 'inside' }, facts),
        members,
      ),
    ),
    update({ status: { cluster, at } }) {
      nowMs = Date.parse(at);
      chip.hidden = cluster === null;
      members.hidden = cluster === null;
      say(title, cluster === null ? 'This instance is alone' : `Cluster ${cluster.name}`);
      if (cluster !== null) {
        set(chip, { 'data-state': cluster.state === 'in-step' ? 'up' : 'down' });
        say(chip, cluster.state);
        rows.update(cluster.members);
      }
      const known = factsOf(cluster);
      const text = JSON.stringify(known);
      if (text === drawn) return;
      drawn = text;
      facts.replaceChildren(...known.flatMap(([name, value]) => [h('dt', {}, name), h('dd', {}, value)]));
    },
  };
}

function factsOf(cluster: ClusterRow | null): (readonly [string, string])[] {
  if (cluster === null) {
    return [
      ['Pins', 'are known here alone. With `cluster:` in the file and the same Redis, instances share them.'],
    ];
  }
  const { shards, journal, faults, lastFault, differingDigests, peerFlows, caughtUp } = cluster;
  const kinds = Object.entries(faults).map(([code, value]) => `${code} ${count(value)}`);
  return [
    ['Pins', caughtUp ? 'all that are shared have been read' : 'not all that are shared have been read yet'],
    ['Connections to Redis', `${count(shards.live)} of ${count(shards.all)} shards`],
    ['Flows of the others', count(peerFlows)],
    [
      'Configuration',
      differingDigests === 0
        ? 'the same on all'
        : `${plural(differingDigests, 'instance has', 'instances have')} another one`,
    ],
    [
      'Waiting for Redis',
      `${plural(journal.waiting, 'change')}${journal.dropped === 0 ? '' : `, ${count(journal.dropped)} given up`}`,
    ],
    ['Faults of Redis', kinds.length === 0 ? 'none' : kinds.join(' · ')],
    ...(lastFault === null ? [] : [['The last one', `${lastFault.code}: ${lastFault.message}`] as const]),
  ];
}

function memberRow(first: Member, nowMs: () => number): View<Member> {
  const cell = cells<(typeof columns)[number]['id']>(columns);
  const note = h('span', { class: 'under' });
  return {
    element: h(
      'tr',
      {},
      h('th', { scope: 'row', class: 'full' }, first.instance, note),
      ...Object.values(cell),
    ),
    update(member) {
      say(note, member.left ? 'has left' : member.isSelf ? 'this one' : '');
      const started = ago(nowMs() - Date.parse(member.startedAt));
      const same = member.hasOurDigest ? 'as here' : `another: ${member.digest.slice(0, 12)}`;
      say(cell.host, member.host);
      say(cell.version, member.version);
      say(cell.digest, same);
      say(cell.flows, count(member.flows));
      say(cell.pins, count(member.pins));
      say(cell.started, started);
      cell.digest.classList.toggle('bad', !member.hasOurDigest);
    },
  };
}
