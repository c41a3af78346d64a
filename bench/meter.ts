/**
 * The CPU a stretch of work cost: the relay's own, and the whole machine's. The second is the honest one, since
 * kernel work done for a relay does not always show in its process; it holds the load and the backend too,
 * which are the same for every relay.
 */
import { cpuMicroseconds, machineMicroseconds, processTree } from '../test/support/procfs.ts';
import type { Service } from './work.ts';

export interface Cost {
  /** Undefined without a relay. */
  readonly relayUs: number | undefined;
  readonly machineUs: number;
}

/** Starts measuring; the returned function says what it cost since. */
export function startMeter(relay: Service): () => Cost {
  const pids = relay.pid === undefined ? [] : processTree(relay.pid);
  const relayBefore = cpuMicroseconds(pids);
  const machineBefore = machineMicroseconds();
  return () => ({
    relayUs: relay.pid === undefined ? undefined : cpuMicroseconds(pids) - relayBefore,
    machineUs: machineMicroseconds() - machineBefore,
  });
}
