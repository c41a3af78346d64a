/**
 * A program of the user's: its exit status says how the backend is, as monitoring plugins have it (0 well, 1 a warning, which
 * passes, 2 and more not well). https://nagios-plugins.org/doc/guidelines.html#AEN78
 */
import { spawn } from 'node:child_process';
import { own, type Reading, required } from '../../core/options.ts';
import { type CheckResult, dialect, failed, passed } from '../dialect.ts';
import { firstLine } from '../faults.ts';

const argumentsMax = 64;
/** Of what it prints the first line counts. Characters. */
const printedMax = 4_096;
const commandRule = 'must be a list: the path of a program, which begins with /, and its arguments';

function readCommand(value: unknown): Reading<readonly string[]> {
  const isList = Array.isArray(value) && value.length > 0 && value.length <= argumentsMax;
  if (!isList || !value.every((word) => typeof word === 'string' && word.length <= printedMax))
    return { refused: commandRule };
  return (value[0] as string).startsWith('/') ? { value: value as string[] } : { refused: commandRule };
}

export const exec = dialect({
  meaning: 'a program of yours ends with status 0 or 1, as monitoring plugins do',
  reach: () => 'beside',
  options: {
    command: required(
      own<readonly string[]>(
        'The program and its arguments, without a shell. {ip}, {port} and {path} (of a unix socket) stand for the backend’s. It runs as pinion does, with an environment of PATH, and PINION_IP, PINION_PORT or PINION_PATH; at the time-out it is killed.',
        readCommand,
        { type: 'array', items: { type: 'string' }, minItems: 1, maxItems: argumentsMax },
        [],
      ),
    ),
  },
  ask: ({ target, signal, options: { command } }) =>
    new Promise<CheckResult>((resolve, reject) => {
      const place =
        target.kind === 'unix' ? { path: target.path } : { ip: target.ip, port: String(target.port) };
      const fill = (word: string): string =>
        Object.entries(place).reduce((text, [key, value]) => text.replaceAll(`{${key}}`, value), word);
      const [program = '', ...args] = command.map(fill);
      const named = Object.entries(place).map(([key, value]) => [`PINION_${key.toUpperCase()}`, value]);
      const child = spawn(program, args, {
        env: { PATH: process.env.PATH ?? '/usr/bin:/bin', ...Object.fromEntries(named) },
        stdio: ['ignore', 'pipe', 'ignore'],
        // Its children are to go with it.
        detached: true,
      });
      let printed = '';
      child.stdout.setEncoding('utf8').on('data', (text: string) => {
        if (printed.length < printedMax) printed += text;
      });
      const kill = (): void => {
        try {
          if (child.pid !== undefined) process.kill(-child.pid, 'SIGKILL');
        } catch {
          // It has ended already.
        }
      };
      signal.addEventListener('abort', kill);
      child.on('error', reject);
      child.on('close', (status, killedBy) => {
        signal.removeEventListener('abort', kill);
        if (status === 0 || status === 1) return resolve(passed);
        const how = status === null ? `it was ended by ${killedBy}` : `it ended with status ${status}`;
        resolve(failed('check-failed', firstLine(printed.trim() === '' ? how : printed.trim())));
      });
    }),
});
