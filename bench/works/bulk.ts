/**
 * One connection moving as much as it can (iperf3), after a check that bytes come through unchanged. The CPU is
 * read around the whole iperf3 run, so it includes its second or so of setting up, the same for every relay.
 */
import { requireCommand } from '../../test/support/packages.ts';
import { freePort, waitUntilBound } from '../../test/support/ports.ts';
import { runToEnd, startProcess } from '../../test/support/processes.ts';
import { asService, runCheck, startEcho } from '../load.ts';
import { startMeter } from '../meter.ts';
import { startRelay } from '../rounds.ts';
import type { Work } from '../work.ts';

const checkMegabytes = 64;

interface IperfReport {
  readonly error?: string;
  readonly end: { readonly sum_received: { readonly bytes: number; readonly bits_per_second: number } };
}

export const bulk: Work = {
  name: 'bulk',
  title: 'one connection at full speed (iperf3)',
  transport: 'tcp',
  flowsMax: 1024,
  measures: [
    { key: 'gigabits', title: 'Gbit/s', better: 'higher', decimals: 1 },
    { key: 'relaySeconds', title: 'relay CPU s/GB', better: 'lower', decimals: 2 },
    { key: 'machineSeconds', title: 'machine CPU s/GB', better: 'lower', decimals: 2 },
  ],
  async startBackend({ cores, places: { backend } }) {
    const { host, wrapper } = backend;
    const port = await freePort();
    const command = requireCommand('iperf3', 'iperf3');
    const args = ['-s', '-B', host, '-p', String(port)];
    const server = startProcess({ command, args, core: cores.load, wrapper });
    await waitUntilBound('tcp', port, server);
    return asService(host, port, server);
  },
  async prepare({ peer }, settings) {
    const echo = await startEcho('tcp', settings);
    const relay = await startRelay(bulk, peer, echo, settings);
    await runCheck('checksum', { peer, relay }, settings, { megabytes: checkMegabytes });
    await relay.stop();
    await echo.stop();
  },
  async run({ relay }, { cores, places, measureMs }) {
    const seconds = String(Math.ceil(measureMs / 1000));
    const args = ['-c', relay.host, '-p', String(relay.port), '-t', seconds, '-J'];
    const meter = startMeter(relay);
    const { wrapper } = places.clients;
    const command = requireCommand('iperf3', 'iperf3');
    const text = await runToEnd({ command, args, core: cores.load, wrapper });
    const cost = meter();
    const report = JSON.parse(text) as IperfReport;
    if (report.error !== undefined) throw new Error(`iperf3: ${report.error}`);
    const { bytes, bits_per_second } = report.end.sum_received;
    // Microseconds per byte are thousands of seconds per gigabyte.
    return {
      gigabits: bits_per_second / 1e9,
      relaySeconds: cost.relayUs === undefined ? undefined : (cost.relayUs / bytes) * 1000,
      machineSeconds: (cost.machineUs / bytes) * 1000,
    };
  },
};
