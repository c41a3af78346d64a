/** nginx's stream proxy with one worker and its defaults. */
import { startNginx } from '../../test/support/nginx.ts';
import { freePort } from '../../test/support/ports.ts';
import { asService } from '../load.ts';
import type { Peer } from '../work.ts';

export const nginx: Peer = {
  name: 'nginx',
  title: 'nginx stream',
  role: 'rival',
  transports: ['tcp', 'udp'],
  async start({ transport, backend, core, place: { host, wrapper }, flowsMax }) {
    const port = await freePort(transport);
    const listen = transport === 'udp' ? `${host}:${port} udp` : `${host}:${port} backlog=4096`;
    const blocks = [
      'stream {',
      '  access_log off;',
      '  server {',
      `    listen ${listen};`,
      `    proxy_pass ${backend.host}:${backend.port};`,
      '    proxy_timeout 10m;',
      '  }',
      '}',
    ].join('\n');
    const connectionsMax = flowsMax * 2 + 128;
    const started = await startNginx({ blocks, port, transport, core, wrapper, connectionsMax });
    return asService(host, port, started);
  },
};
