/**
 * UDP round trips in a closed loop from 200 and from 5,000 client sockets: few clients that speak often, and
 * many that take turns, so that finding the flow is part of the work. 200 are under way in both.
 */
import { runLoad, startEcho } from '../load.ts';
import { latencyMeasures, unitMeasures, unitSample } from '../measures.ts';
import type { Work } from '../work.ts';

const inFlight = 200;
const datagramBytes = 100;

function udp(sockets: number): Work {
  return {
    name: `udp-${sockets}`,
    title: `UDP round trips of ${datagramBytes} bytes, ${sockets.toLocaleString('en')} clients`,
    transport: 'udp',
    flowsMax: 8_192,
    measures: [...unitMeasures('round trip'), ...latencyMeasures],
    startBackend: (settings) => startEcho('udp', settings),
    async run(subject, settings) {
      return unitSample(await runLoad('udp', subject, settings, { sockets, inFlight, datagramBytes }));
    },
  };
}

export const udpFew = udp(200);
export const udpMany = udp(5_000);
