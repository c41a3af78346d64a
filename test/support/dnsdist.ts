/** A real dnsdist, which speaks the PROXY protocol over UDP: version 2 in each datagram, as a sender and as a reader. */
import { requireCommand } from './packages.ts';
import { freePort, waitUntilBound } from './ports.ts';
import { startProcess } from './processes.ts';
import { temporaryFile } from './temporary.ts';

/**
 * Starts dnsdist and waits until it has bound its UDP port.
 * @param lines of its configuration, in Lua: what it does with questions
 * @returns the port
 */
export async function startDnsdist(lines: readonly string[]): Promise<number> {
  const port = await freePort('udp');
  const config = [
    `setLocal('127.0.0.1:${port}')`,
    "setACL('127.0.0.0/8')",
    // It asks a name of its makers' whether it has to be renewed.
    "setSecurityPollSuffix('')",
    ...lines,
  ];
  const file = temporaryFile('dnsdist.conf', `${config.join('\n')}\n`);
  const args = ['--supervised', '--disable-syslog', '-C', file];
  const started = startProcess({ command: requireCommand('dnsdist', 'dnsdist'), args });
  await waitUntilBound('udp', port, started);
  return port;
}
