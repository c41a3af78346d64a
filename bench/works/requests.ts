/**
 * Small HTTP requests over 64 keep-alive connections: the cost of moving little data often. Once from the load generator that people
 * know, once from one that costs less than a relay, so that the machine's CPU tells the relays apart.
 */
import { runLoad } from '../load.ts';
import { latencyMeasures, unitMeasures, unitSample } from '../measures.ts';
import type { Work } from '../work.ts';
import { startHttpBackend } from './http-backend.ts';

const connections = 64;

export const requests: Work = {
  name: 'requests',
  title: `${connections} keep-alive connections, small HTTP requests (autocannon)`,
  transport: 'tcp',
  flowsMax: 1024,
  measures: unitMeasures('request'),
  startBackend: (settings) => startHttpBackend(settings, 3600),
  async run(subject, settings) {
    return unitSample(await runLoad('requests', subject, settings, { connections }));
  },
};

export const smallRequests: Work = {
  ...requests,
  title: `${connections} keep-alive connections, small HTTP requests, as fast as answers come`,
  measures: [...unitMeasures('request'), ...latencyMeasures],
  async run(subject, settings) {
    return unitSample(await runLoad('keepalive', subject, settings, { connections }));
  },
};
