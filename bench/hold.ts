/**
 * The command: `node dist/bench/hold.js [--connections 10000] [--conversations 10000] [--seconds 60] [--interval 1000]
 * [--instances auto]`. Prints what was held and what it cost; exit code 1 when anything went wrong.
 */
import { parseArgs } from 'node:util';
import { stopEverything } from '../test/support/processes.ts';
import { descriptorCeiling, hold, missesOf } from './hold/hold.ts';
import { describeMachine, machineText } from './machine.ts';

const count = (fallback: string) => ({ type: 'string', default: fallback }) as const;
const { values } = parseArgs({
  options: {
    connections: count('10000'),
    conversations: count('10000'),
    seconds: count('60'),
    interval: count('1000'),
    instances: count('auto'),
  },
});
const say = (line: string): void => void process.stdout.write(`${line}\n`);
const wanted = Number(values.connections) + Number(values.conversations);
const result = await hold({
  connections: Number(values.connections),
  conversations: Number(values.conversations),
  holdMs: Number(values.seconds) * 1_000,
  intervalMs: Number(values.interval),
  instances: values.instances === 'auto' ? 'auto' : Number(values.instances),
});
const { tcp, udp, connections, conversations, instances } = result;
const mega = (bytes: number): string => `${Math.round(bytes / 1e6)} MB`;
const perFlow = (result.heldRssBytes - result.emptyRssBytes) / (connections + conversations);
say(machineText(await describeMachine()));
if (instances > 1 || connections + conversations < wanted)
  say(`a process may open ${result.descriptorLimit} descriptors here and the limit cannot be raised \
(CAP_SYS_RESOURCE; the kernel's ceiling is ${descriptorCeiling()}): ${instances} pinion process(es) share the clients`);
say(`held: ${connections} TCP connections and ${conversations} UDP conversations for ${values.seconds} s, each with \
64 bytes there and back every ${values.interval} ms; ${result.flowsHeld} flows, ${result.descriptors} descriptors
TCP: ${tcp.units} round trips, ${tcp.failures} failures, p50 ${tcp.p50Us.toFixed(0)} us, p99 ${tcp.p99Us.toFixed(0)} us
UDP: ${udp.units} round trips, ${udp.failures} failures, p50 ${udp.p50Us.toFixed(0)} us, p99 ${udp.p99Us.toFixed(0)} us
CPU: pinion ${result.pinionCores.toFixed(2)} cores, machine ${result.machineCores.toFixed(2)} cores
memory: ${mega(result.emptyRssBytes)} empty, ${mega(result.heldRssBytes)} held, ${Math.round(perFlow)} bytes for each flow`);
const misses = missesOf(result);
for (const miss of misses) say(`MISS: ${miss}`);
await stopEverything();
process.exit(misses.length === 0 ? 0 : 1);
