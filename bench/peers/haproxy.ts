/** HAProxy in tcp mode on one thread, splicing where it sees fit. It relays no UDP. */
import { startHaproxy } from '../../test/support/haproxy.ts';
import { freePort } from '../../test/support/ports.ts';
import { asService } from '../load.ts';
import type { Peer } from '../work.ts';

export const haproxy: Peer = {
  name: 'haproxy',
  title: 'HAProxy',
  role: 'rival',
  transports: ['tcp'],
  async start({ backend, core, place: { host, wrapper }, flowsMax }) {
    const port = await freePort();
    const config = `
global
  nbthread 1
  maxconn ${flowsMax}
  maxpipes 64
defaults
  mode tcp
  timeout connect 5s
  timeout client 10m
  timeout server 10m
  option splice-auto
  option splice-request
  option splice-response
frontend bench
  bind ${host}:${port} backlog 4096
  default_backend bench
backend bench
  server only ${backend.host}:${backend.port}
`;
    return asService(host, port, await startHaproxy({ config, port, core, wrapper }));
  },
};
