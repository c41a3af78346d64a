/** A real HAProxy in the foreground with a given configuration text. */
import { requireCommand } from './packages.ts';
import { waitUntilBound } from './ports.ts';
import { type ProcessOptions, type RunningProcess, startProcess } from './processes.ts';
import { temporaryFile } from './temporary.ts';

export interface HaproxyOptions {
  /** The whole file. */
  readonly config: string;
  /** What it is ready by. */
  readonly port: number;
  readonly core?: number | undefined;
  readonly wrapper?: ProcessOptions['wrapper'];
}

/** Starts HAProxy (-db: one process, no daemon) and waits until it listens; rejects with its output otherwise. */
export async function startHaproxy(options: HaproxyOptions): Promise<RunningProcess> {
  const file = temporaryFile('haproxy.cfg', options.config);
  const command = requireCommand('haproxy', 'haproxy');
  const { core, wrapper } = options;
  const started = startProcess({ command, args: ['-db', '-f', file], core, wrapper });
  await waitUntilBound('tcp', options.port, started);
  return started;
}
