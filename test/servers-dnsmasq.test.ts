/** Three dnsmasq servers over UDP, asked by a thousand client addresses: no answer is lost, no client changes. */
import { Resolver } from 'node:dns/promises';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { clientAddresses, inParallel } from './support/clients.ts';
import { configText, listener, noCheck } from './support/config.ts';
import { type Dnsmasq, startDnsmasq } from './support/dnsmasq.ts';
import { eventually } from './support/eventually.ts';
import { type Pinion, startPinion } from './support/pinion.ts';
import { stopEverything } from './support/processes.ts';
import { requirePackage } from './support/require-package.ts';

afterAll(stopEverything);

requirePackage('dnsmasq')('DNS through pinion', () => {
  const names = ['d1', 'd2', 'd3'];
  const clients = clientAddresses(1_000);
  let pinion: Pinion;

  beforeAll(async () => {
    const servers: Dnsmasq[] = await Promise.all(
      names.map((name) =>
        startDnsmasq({ texts: { 'who.test': name }, addresses: { 'many.test': '192.0.2.1' } }),
      ),
    );
    const backends = servers.map(({ port }, i) => ({ name: names[i], address: `127.0.0.1:${port}` }));
    pinion = await startPinion(
      configText({
        listeners: [listener('dns', 'udp', 'dns', { timeouts: { idle: '5s' } })],
        pools: { dns: { policy: 'maglev', health: noCheck, backends } },
      }),
    );
  });

  /** One question, no second try: a lost answer is a failure. */
  async function whoAnswers(client: string): Promise<string> {
    const resolver = new Resolver({ timeout: 10_000, tries: 1 });
    resolver.setServers([`127.0.0.1:${pinion.port('dns')}`]);
    resolver.setLocalAddress(client);
    const records = await resolver.resolveTxt('who.test');
    return records.flat().join('');
  }

  test('a thousand clients lose no answer and each always asks the same server', async () => {
    const first = await inParallel(clients, whoAnswers, 16);
    expect(new Set(first)).toEqual(new Set(names));
    for (const round of ['second', 'third']) {
      expect(await inParallel(clients, whoAnswers, 16), `${round} round`).toEqual(first);
    }
    const shares = names.map((name) => first.filter((answer) => answer === name).length);
    expect(Math.min(...shares), `shares ${shares}`).toBeGreaterThan(230);
    await eventually('all answers in the metrics', async () => {
      const answers = await pinion.metric('pinion_listener_datagrams_total', { direction: 'out' });
      return answers !== undefined && answers >= 3_000;
    });
    await expect.poll(() => pinion.metric('pinion_listener_datagrams_dropped_total')).toBe(0);
  });

  test('one client asks a hundred questions at once and gets a hundred answers', async () => {
    const resolver = new Resolver({ timeout: 10_000, tries: 1 });
    resolver.setServers([`127.0.0.1:${pinion.port('dns')}`]);
    const questions = Array.from({ length: 100 }, (_, i) => `host${i}.many.test`);
    const answers = await Promise.all(questions.map((name) => resolver.resolve4(name)));
    expect(answers.flat().filter((ip) => ip !== '192.0.2.1')).toEqual([]);
  });
});
