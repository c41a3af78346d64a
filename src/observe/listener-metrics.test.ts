import { expect, test } from 'vitest';
import type { ListenerView } from '../core/snapshot.ts';
import type { FrontState } from '../front/state.ts';
import { createSharedMemory } from '../rooms/shared.ts';
import { listenerFamilies } from './listener-metrics.ts';
import { Page } from './page.ts';

test('a listener that is being opened at another address has one line of each series, with the counts of the one that serves', () => {
  const views = createSharedMemory(1, 1_024);
  const at = (id: number, name: string, port: number): ListenerView =>
    ({
      id,
      plan: { name, protocol: 'tcp', bind: { kind: 'inet', ip: '127.0.0.1', port } },
    }) as unknown as ListenerView;
  const listeners = [at(0, 'web', 80), at(1, 'db', 5_432), at(2, 'web', 81)];
  views.counters.addListener(0, 'opened', 7);
  views.counters.addListener(2, 'opened', 1);
  for (const { id } of listeners) views.counters.histograms.observe('flow', id, 1);
  const state = (): FrontState => ({ published: { snapshot: { listeners } } }) as unknown as FrontState;
  const families = listenerFamilies({ views, state, version: '', httpRefusals: () => ({}), isShared: false });
  const page = new Page(families).bytes().toString();
  const series = page
    .split('\n')
    .filter((line) => !line.startsWith('#'))
    .map((line) => line.slice(0, line.lastIndexOf(' ')));
  expect(series.filter((one, i) => series.indexOf(one) !== i)).toEqual([]);
  expect(page).toContain('pinion_listener_flows_total{listener="web"} 7\n');
  expect(page).toContain('pinion_listener_flow_duration_seconds_count{listener="db"} 1\n');
});
