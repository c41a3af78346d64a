/** A backend on a host of its own: `node pair-backend.js NAME`. Answers every line (TCP 7000) and datagram (UDP 7001) with its name. */
import { serveName } from './name-servers.ts';

await serveName(process.argv[2] ?? 'nameless', { tcpIp: '0.0.0.0', udpIps: ['0.0.0.0'] });
process.stdout.write('serving\n');
