/** Prometheus's own tool reads what pinion has for it: the metrics page, the alerts, and the questions of the dashboard. */
import { spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { afterEach, expect, test } from 'vitest';
import { askTcp } from './support/clients.ts';
import { backendsOf, configText, listener, quickCheck } from './support/config.ts';
import { eventually } from './support/eventually.ts';
import { requireCommand } from './support/packages.ts';
import { startPinion } from './support/pinion.ts';
import { stopEverything } from './support/processes.ts';
import { requirePackage } from './support/require-package.ts';
import { namedTcp, stopServers } from './support/servers.ts';
import { temporaryFile } from './support/temporary.ts';

const root = new URL('../', import.meta.url);

afterEach(async () => {
  await stopEverything();
  await stopServers();
});

function promtool(args: readonly string[], input = ''): string {
  const { status, stdout, stderr } = spawnSync(requireCommand('prometheus', 'promtool'), args, {
    input,
    encoding: 'utf8',
  });
  expect({ status, stderr }).toEqual({ status: 0, stderr: '' });
  return stdout;
}

/** Every question of a dashboard, with what Grafana puts in for its variables. */
function questionsOf(board: string): string[] {
  const asked = [...board.matchAll(/"expr": ("(?:[^"\\]|\\.)*")/g)].map(
    ([, text]) => JSON.parse(text!) as string,
  );
  return asked.map((expr) => expr.replaceAll('$__rate_interval', '5m').replaceAll(/\$(job|instance)/g, '.*'));
}

requirePackage('prometheus')('Prometheus', () => {
  test('takes the alerts, and all questions of the dashboard', () => {
    const path = new URL('config/alerts.yaml', root).pathname;
    expect(promtool(['check', 'rules', path])).toMatch(/SUCCESS: \d\d rules found/);
    const questions = questionsOf(readFileSync(new URL('config/grafana.json', root), 'utf8'));
    expect(questions.length).toBeGreaterThan(30);
    const rules = questions.map((expr, i) => ({ record: `question:${i}`, expr }));
    const file = temporaryFile('questions.yaml', JSON.stringify({ groups: [{ name: 'board', rules }] }));
    expect(promtool(['check', 'rules', file])).toContain(`SUCCESS: ${questions.length} rules found`);
  });

  test('reads the page of an instance that has served, histograms included', async () => {
    const pinion = await startPinion(
      configText({
        listeners: [listener('front', 'tcp', 'pool')],
        pools: { pool: { health: quickCheck, backends: backendsOf(await namedTcp(['a', 'b'])) } },
      }),
    );
    await askTcp(pinion.port('front'));
    await eventually(
      'its flow is counted',
      async () => (await pinion.metric('pinion_listener_flow_duration_seconds_count')) === 1,
    );
    const page = await pinion.metrics();
    // What prom-client says of Node has names that the tool would not choose.
    const ours = page.replaceAll(/^.*pinion_(process|nodejs)_.*\n/gm, '');
    promtool(['check', 'metrics'], ours);
    const count = async (name: string, labels = {}): Promise<number> =>
      (await pinion.metric(name, labels)) ?? 0;
    await expect.poll(() => count('pinion_pool_connect_seconds_count', { pool: 'pool' })).toBe(1);
    await expect.poll(() => count('pinion_pool_check_seconds_count', { pool: 'pool' })).toBeGreaterThan(1);
    await expect
      .poll(() => count('pinion_worker_loop_lag_seconds_count', { worker: '0' }))
      .toBeGreaterThan(0);
    expect(await count('pinion_config_info')).toBe(1);
    expect(await count('pinion_reloads_total')).toBe(0);
  });
});
