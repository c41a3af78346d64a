/**
 * What the portable engine's sockets may do on this machine: see engine/machine-means.ts. Node binds a TCP socket only to listen on it,
 * where a client could meet it; the kernel has one rule of addresses and ports below 1024 for both protocols (inet_bind), so UDP asks.
 */
import { createSocket } from 'node:dgram';
import type { MachineMeans } from '../machine-means.ts';

/** What it cannot do at all is told from the table of options (config/unhonoured.ts), and not asked of the machine. */
const none = (): undefined => undefined;

export const portableMeans: MachineMeans = {
  triesAllSources: false,
  transparent: none,
  mark: none,
  device: none,
  source: (ip) => bindOnce(ip, 0),
  bind: async (_protocol, { ip, port }) => (await bindOnce(ip, 0)) ?? (await bindOnce(ip, port)),
};

function bindOnce(address: string, port: number): Promise<string | undefined> {
  return new Promise((resolve) => {
    const socket = createSocket({ type: address.includes(':') ? 'udp6' : 'udp4' });
    socket.once('error', ({ code = 'EIO' }: NodeJS.ErrnoException) => {
      socket.close();
      resolve(code === 'EADDRINUSE' ? undefined : code);
    });
    socket.bind({ address, port, exclusive: true }, () => {
      socket.close();
      resolve(undefined);
    });
  });
}
