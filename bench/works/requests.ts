/** Small HTTP requests over 64 keep-alive connections: the cost of moving little data often. */
import { runLoad } from '../load.ts';
import { unitMeasures, unitSample } from '../measures.ts';
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
