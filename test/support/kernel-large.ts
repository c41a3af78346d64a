/**
 * The kernel's table with many pins, in the network namespace it is started in: `node kernel-large.js PINS`. Every pin says another backend
 * than its client's bucket. Prints a line of JSON for each thing it measures; times in milliseconds. Leaves the table where it is.
 */
import { Address } from '../../src/core/address.ts';
import { BackendStates } from '../../src/core/backend-states.ts';
import { bucketSeed, kernelBucket } from '../../src/core/kernel-bucket.ts';
import { keyOf } from '../../src/core/key.ts';
import { PinTable } from '../../src/core/pins/table.ts';
import type { Ruleset } from '../../src/kernel/form.ts';
import { wantedOf } from '../../src/kernel/ruleset.ts';
import { TargetNumbers } from '../../src/kernel/target-numbers.ts';
import { transaction } from '../../src/kernel/transaction.ts';
import { Wants } from '../../src/kernel/wants.ts';
import { openNft } from '../../src/linux/nft.ts';
import { viewOf } from './kernel-view.ts';

const pinCount = Number(process.argv[2] ?? '1000');
const rounds = 1;
const file = `
cluster: { name: large, instance: large, redis: "redis://127.0.0.1:6379" }
listeners: [ { name: tcp, bind: "tcp://10.77.0.101:7000", relay: kernel, pool: tcp, affinity: { key: client-ip, ttl: 1h } } ]
pools: { tcp: { backends: [ { name: b1, address: "10.77.0.21:7000" }, { name: b2, address: "10.77.0.22:7000" }, { name: b3, address: "10.77.0.23:7000" } ] } }
`;
const view = viewOf(file);
const [listener] = view.listeners;
const [pool] = view.pools;
if (listener === undefined || pool === undefined) throw new Error('no listener');
const { affinity } = listener.plan;
const states = new BackendStates();
for (const { id } of pool.backends) {
  states.setUp(id, true);
  states.setWeight(id, 1);
}
const pins = PinTable.create(2 * pinCount, { reportChanges: false });
const wants = new Wants({ states, pins, nowMs: () => performance.now() });
const open = [{ view: listener, pool }];
const numbers = new TargetNumbers();
const nft = openNft();
if (nft === undefined) throw new Error('no nftables');
let is: Ruleset | undefined;

const buckets = wants.bucketsOf(pool, 4);
const how = {
  key: 'client-ip',
  prefixV4: 32,
  prefixV6: 128,
  seed: bucketSeed,
  modulus: pool.plan.tableSize,
} as const;
for (let i = 0; i < pinCount; i++) {
  const client = Address.v4(0x0b000000 + i, 0);
  const id = (buckets[kernelBucket(client, how)]! % 3) + 1;
  pins.claim(pool.id, keyOf(client, affinity), id, affinity.ttlMs, performance.now(), 'policy');
}

/** One change as the thread makes it. */
async function change(what: string): Promise<void> {
  const startedMs = performance.now();
  const want = wantedOf(
    {
      ...view,
      bucketsOf: (of, family) => wants.bucketsOf(of, family),
      pinsOf: (of, one) => wants.pinsWanted(of, one),
    },
    numbers,
  );
  const wantedMs = performance.now();
  const text = transaction(is, want);
  const writtenMs = performance.now();
  const result = await nft!.run(text);
  if (!result.ok) throw new Error(result.error);
  is = want;
  say(what, {
    wanted: wantedMs - startedMs,
    text: writtenMs - wantedMs,
    nft: performance.now() - writtenMs,
    bytes: text.length,
  });
}

function say(what: string, figures: Readonly<Record<string, number>>): void {
  const rounded = Object.entries(figures).map(([name, value]) => [name, Math.round(value)]);
  process.stdout.write(`${JSON.stringify({ what, ...Object.fromEntries(rounded) })}\n`);
}

const lookedMs = performance.now();
wants.isOther(open);
say('look at the pins', { ms: performance.now() - lookedMs });
await change('made');
for (let round = 0; round < rounds; round++) {
  states.setUp(3, false);
  await change('a backend down');
  states.setUp(3, true);
  await change('and up');
  const client = Address.v4(0x0b000000 + round, 0);
  const pinned = pins.pin(pool.id, keyOf(client, affinity), performance.now())!.backendId;
  pins.move(
    pool.id,
    keyOf(client, affinity),
    pinned,
    (pinned % 3) + 1,
    affinity.ttlMs,
    performance.now(),
    'policy',
  );
  await change('one pin moved');
}
say('memory', { rssMiB: process.memoryUsage().rss / 2 ** 20 });
nft.close();
