/** What a backend on a host of its own serves: every line (TCP 7000) and datagram (UDP 7001) is answered with its name. `base`: in place of 7000. */
import { tcpServer, udpServer } from './servers.ts';

/** @param udpIps a socket for each: a datagram is answered from the address it came to */
export async function serveName(
  name: string,
  {
    tcpIp,
    udpIps,
    base = 7000,
  }: { readonly tcpIp: string; readonly udpIps: readonly string[]; readonly base?: number },
): Promise<void> {
  await tcpServer(
    (socket) => {
      socket.on('data', (bytes) => {
        const lines = bytes.filter((byte) => byte === 10).length;
        socket.write(`${name}\n`.repeat(lines));
      });
      socket.on('end', () => socket.end());
    },
    { ip: tcpIp, port: base },
  );
  for (const ip of udpIps)
    await udpServer((message, _from, reply) => reply(`${name}:${message.toString('latin1')}`), {
      ip,
      port: base + 1,
      checkable: true,
    });
}
