/**
 * Something that sends TCP urgent data (send(2), MSG_OOB), which Node cannot: a few lines of Perl, which every Debian has.
 */
import { spawn } from 'node:child_process';
import type { Bind } from '../../core/plan.ts';
import { loopback } from './messages.ts';
import type { Stage } from './stage.ts';

/** The stream "abcXdef" with the X urgent, then an end; then it waits for the other's end. */
const program = String.raw`
  use Socket;
  my ($role, $port) = @ARGV;
  my $name = pack_sockaddr_in($port, inet_aton('127.0.0.1'));
  socket(my $socket, PF_INET, SOCK_STREAM, 0) or die $!;
  if ($role eq 'backend') {
    bind($socket, $name) && listen($socket, 8) or die $!;
    print +(unpack_sockaddr_in(getsockname($socket)))[0], "\n";
    close STDOUT;
    accept(my $accepted, $socket) or die $!;
    $socket = $accepted;
  } else {
    connect($socket, $name) or die $!;
  }
  defined send($socket, 'abc', 0) && defined send($socket, 'X', MSG_OOB) && defined send($socket, 'def', 0) or die $!;
  shutdown($socket, 1);
  1 while sysread($socket, my $bytes, 4096);
`;

/** Connects to the engine as a client. */
export function connectUrgent(stage: Stage, to: number): void {
  const child = spawn('perl', ['-e', program, 'client', String(to)], {
    stdio: ['ignore', 'ignore', 'inherit'],
  });
  stage.onClose(() => void child.kill('SIGKILL'));
}

/** A backend for one connection. */
export async function openUrgentBackend(stage: Stage): Promise<Bind> {
  const child = spawn('perl', ['-e', program, 'backend', '0'], { stdio: ['ignore', 'pipe', 'inherit'] });
  stage.onClose(() => void child.kill('SIGKILL'));
  let text = '';
  child.stdout.setEncoding('latin1').on('data', (bytes: string) => {
    text += bytes;
  });
  return loopback('127.0.0.1', await stage.eventually('its port', () => text.endsWith('\n') && Number(text)));
}
