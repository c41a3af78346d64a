/**
 * `pinion ready`: one question with an exit status for an answer, for what decides where clients go (keepalived, a
 * route announcer, a deploy script). It promises nothing about the backends: an instance whose backends are all
 * down is ready, because its peer would see the same.
 *
 * It is asked every second, so this file also runs by itself (`node dist/src/cli/ready.js`): loading only what the
 * question needs takes a fifth of the processor time of loading all commands. Keep its imports few.
 */

// The first: see there.
import './node-version.ts';
import { realpathSync } from 'node:fs';
import { Command } from 'commander';
import { notReadyBecause, type ReadyStatus } from '../admin/readiness.ts';
import { readListen } from '../config/bind.ts';
import type { Bind } from '../core/plan.ts';
import { type AdminAnswer, askAdmin } from './admin-client.ts';
import { exitStatus } from './exit.ts';
import type { AdminOptions } from './operate.ts';
import { print } from './standard-output.ts';

interface ReadyOptions extends AdminOptions {
  readonly inStep?: boolean;
}

/** As {@link notReadyBecause}, of what the admin address answered. */
export function refusalIn(answer: AdminAnswer | undefined, inStep: boolean): string | undefined {
  if (answer === undefined) return 'no pinion answers there';
  if (answer.status !== 200) return `the admin address answered ${answer.status}`;
  return notReadyBecause(answer.body as ReadyStatus, inStep);
}

/** The admin address; undefined after the mistake has been said and the exit status set. */
async function addressOf(options: ReadyOptions): Promise<Bind | undefined> {
  const reading = options.admin === undefined ? undefined : readListen(options.admin);
  if (reading !== undefined && 'value' in reading) return reading.value;
  const { adminAddress } = await import('./operate.ts');
  return adminAddress(options);
}

async function ready(options: ReadyOptions): Promise<void> {
  const bind = await addressOf(options);
  if (bind === undefined) return;
  let reason: string | undefined;
  try {
    reason = refusalIn(await askAdmin(bind, 'GET', '/status'), options.inStep === true);
  } catch (error) {
    // No answer in time, no permission, something else listens there: all of them mean no.
    reason = (error as Error).message;
  }
  print(reason === undefined ? 'ready\n' : `not ready: ${reason}\n`);
  if (reason !== undefined) process.exitCode = exitStatus.refused;
}

export function readyCommand(): Command {
  return new Command('ready')
    .description('exit status 0 when a running instance accepts clients, 1 when not')
    .option('-c, --config <file>', "the instance's configuration (its admin.listen is used)")
    .option('-a, --admin <address>', 'its admin address: unix:/run/pinion/admin.sock or 127.0.0.1:9465')
    .option('--in-step', 'also no until it has read the pins it shares with its cluster once')
    .action(ready);
}

if (process.argv[1] !== undefined && realpathSync(process.argv[1]) === import.meta.filename) {
  const command = readyCommand().showHelpAfterError('see: pinion ready --help');
  // Commander's own status for wrong usage is the one that means no.
  command.exitOverride(({ exitCode }) => process.exit(exitCode === 0 ? exitStatus.good : exitStatus.usage));
  await command.parseAsync();
}
