/**
 * The kernel's table with many pins, in the network namespace it is started in: `node kernel-large.js PINS`. Every pin says another backend
 * than its client's bucket. Prints a line of JSON for each thing it measures, in milliseconds: what it takes of the processor's time,
 * and what a transaction takes. Leaves the table where it is.
 */
import { Address } from '../../src/core/address.ts';
import { BackendStates } from '../../src/core/backend-states.ts';
import { bucketSeed, kernelBucket } from '../../src/core/kernel-bucket.ts';
import { keyOf } from '../../src/core/key.ts';
import { PinTable } from '../../src/core/pins/table.ts';
import type { BackendView, PoolView } from '../../src/core/snapshot.ts';
import type { Ruleset } from '../../src/kernel/form.ts';
import { PinMaps } from '../../src/kernel/pin-maps.ts';
import { wantedOf } from '../../src/kernel/ruleset.ts';
import { TargetNumbers } from '../../src/kernel/target-numbers.ts';
import { elementsTransaction, transaction } from '../../src/kernel/transaction.ts';
import { Wants } from '../../src/kernel/wants.ts';
import { openNft } from '../../src/linux/nft.ts';
import { viewOf } from './kernel-view.ts';

const pinCount = Number(process.argv[2] ?? '1000');
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
const wants = new Wants(states);
const bucketsOf = (of: PoolView, family: 4 | 6): Int32Array => wants.bucketsOf(of, family);
const homesOf = (of: PoolView, family: 4 | 6): readonly BackendView[] => wants.homesOf(of, family);
const maps = new PinMaps({ pins, homesOf, bucketsOf, nowMs: () => performance.now() });
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

/** Of the process: while this is taken nothing but the garbage collector works beside this thread. */
function processorMs(): number {
  const { user, system } = process.cpuUsage();
  return (user + system) / 1_000;
}

/** The table anew, as the thread makes it. */
async function makeTable(what: string): Promise<void> {
  const startedMs = processorMs();
  maps.begin();
  const want = wantedOf({ ...view, bucketsOf, pinsIn: (map) => maps.ask(map) }, numbers);
  maps.finish();
  const wantedMs = processorMs();
  const text = transaction(is, want);
  const [wanted, written] = [wantedMs - startedMs, processorMs() - wantedMs];
  say(what, { wanted, text: written, ...(await run(text)) });
  is = want;
}

/** Elements alone. */
async function changeElements(what: string): Promise<void> {
  const startedMs = processorMs();
  if (!maps.look(true)) throw new Error('nothing is seen');
  const text = elementsTransaction(view.table, maps.takeChanges());
  const seen = processorMs() - startedMs;
  say(what, { seen, ...(await run(text)) });
}

async function run(text: string): Promise<{ readonly nft: number; readonly bytes: number }> {
  const startedMs = performance.now();
  const result = await nft!.run(text);
  if (!result.ok) throw new Error(result.error);
  return { nft: performance.now() - startedMs, bytes: text.length };
}

/** Elsewhere than it was, which its bucket does not say either. */
function movePin(i: number): void {
  const client = Address.v4(0x0b000000 + i, 0);
  const key = keyOf(client, affinity);
  const pinned = pins.lookup(pool!.id, key, performance.now());
  const home = buckets[kernelBucket(client, how)]!;
  pins.move(pool!.id, key, pinned, 6 - home - pinned, affinity.ttlMs, performance.now(), 'operator');
}

function say(what: string, figures: Readonly<Record<string, number>>): void {
  const rounded = Object.entries(figures).map(([name, value]) => [name, Math.round(value * 100) / 100]);
  process.stdout.write(`${JSON.stringify({ what, ...Object.fromEntries(rounded) })}\n`);
}

await makeTable('made');
states.setUp(3, false);
await makeTable('a backend down');
states.setUp(3, true);
await makeTable('and up');
for (const what of ['one pin moved', 'another']) {
  movePin(0);
  await changeElements(what);
}
for (let i = 0; i < 1_000; i++) movePin(i);
await changeElements('a thousand moved');
await makeTable('a reload');
say('memory', { rssMiB: process.memoryUsage().rss / 2 ** 20 });
nft.close();
