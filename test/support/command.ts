/** The built `pinion` command, run to its end, with what it wrote and how it ended. */
import { spawn } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { patienceMs } from './eventually.ts';
import { pinionMain } from './pinion.ts';
import { temporaryFolder } from './temporary.ts';

export interface CommandResult {
  /** The exit status; the signal's name if one ended it. */
  readonly status: number | string;
  readonly stdout: string;
  readonly stderr: string;
}

/** Runs `pinion ARGS`. A command that does not end is killed, which shows as status SIGKILL. */
export function pinionCommand(
  args: readonly string[],
  wrapper: readonly string[] = [],
): Promise<CommandResult> {
  const [command, ...rest] = [...wrapper, process.execPath, pinionMain(), ...args] as [string, ...string[]];
  return new Promise((resolve, reject) => {
    const child = spawn(command, rest, { stdio: ['ignore', 'pipe', 'pipe'] });
    const timer = setTimeout(() => child.kill('SIGKILL'), patienceMs);
    let stdout = '';
    let stderr = '';
    child.stdout.setEncoding('utf8').on('data', (text) => {
      stdout += text;
    });
    child.stderr.setEncoding('utf8').on('data', (text) => {
      stderr += text;
    });
    child.on('error', reject);
    child.on('close', (code, signal) => {
      clearTimeout(timer);
      resolve({ status: code ?? signal ?? 'unknown', stdout, stderr });
    });
  });
}

/** A folder with a command `pinion`, the built one, as on a PATH. */
export function commandFolder(): string {
  const folder = temporaryFolder('bin');
  const script = join(folder, 'pinion');
  writeFileSync(script, `#!/bin/sh\nexec ${process.execPath} ${pinionMain()} "$@"\n`, { mode: 0o755 });
  return folder;
}
