/**
 * Memory of many connections at rest: resident bytes of the relay's processes after, less those before, per
 * connection. Socket buffers of the kernel are not in it; they are the same two sockets for every relay.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { descriptorLimit, processTree, residentBytes } from '../../test/support/procfs.ts';
import { runLoad, startEcho } from '../load.ts';
import type { Service, Work } from '../work.ts';

// Two descriptors a connection, and what a relay keeps for itself (pinion: its reserve, and pipes).
const connections = Math.min(10_000, Math.floor((descriptorLimit() - 1_024) / 2));
const settleMs = 1_000;

function residentOf(relay: Service): number | undefined {
  if (relay.pid === undefined) return undefined;
  return processTree(relay.pid).reduce((sum, pid) => sum + residentBytes(pid), 0);
}

export const idle: Work = {
  name: 'idle',
  title: `${connections.toLocaleString('en')} connections at rest`,
  transport: 'tcp',
  flowsMax: connections + 16,
  freshRelay: true,
  measures: [
    { key: 'kibibytes', title: 'KiB/connection', better: 'lower', decimals: 2 },
    { key: 'emptyMebibytes', title: 'MiB before the first', better: 'lower', decimals: 1 },
  ],
  startBackend: (settings) => startEcho('tcp', settings),
  async run(subject, settings) {
    const before = residentOf(subject.relay);
    const load = await runLoad('idle', subject, settings, { connections });
    await sleep(settleMs);
    const after = residentOf(subject.relay);
    const ended = load.process.status !== undefined;
    await load.process.stop();
    if (ended) throw new Error(`connections did not stay open: ${load.process.output()}`);
    if (before === undefined || after === undefined) return {};
    return { kibibytes: (after - before) / connections / 1024, emptyMebibytes: before / 1024 / 1024 };
  },
};
