/** One connection per request: the cost of accepting, choosing, dialling and closing. */
import { runLoad } from '../load.ts';
import { latencyMeasures, unitMeasures, unitSample } from '../measures.ts';
import type { Work } from '../work.ts';
import { startHttpBackend } from './http-backend.ts';

const concurrent = 64;

export const connections: Work = {
  name: 'connections',
  title: `one connection per request, ${concurrent} at a time, closed by the backend`,
  transport: 'tcp',
  flowsMax: 4096,
  measures: [...unitMeasures('connection'), ...latencyMeasures],
  startBackend: (settings) => startHttpBackend(settings, 0),
  async run(subject, settings) {
    return unitSample(await runLoad('connections', subject, settings, { concurrent }));
  },
};
