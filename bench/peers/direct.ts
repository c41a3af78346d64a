/** No relay at all: what the load and the backend cost by themselves. */
import type { Peer } from '../work.ts';

export const direct: Peer = {
  name: 'direct',
  title: 'no relay',
  role: 'direct',
  transports: ['tcp', 'udp'],
  async start({ backend }) {
    return { host: backend.host, port: backend.port, pid: undefined, stop: async () => {} };
  },
};
