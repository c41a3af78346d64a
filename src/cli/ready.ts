/**
 * `pinion ready`: one question with an exit status for an answer, for what decides where clients go (a route announcer, a
 * deploy script). It promises nothing about the backends: an instance whose backends are all down is ready, because
 * its peer would see the same.
 */
import { Command } from 'commander';
import { notReadyBecause, type ReadyStatus } from '../front/readiness.ts';
import { type AdminAnswer, askAdmin } from './admin-client.ts';
import { exitStatus } from './exit.ts';
import { type AdminOptions, adminAddress, withAdminOptions } from './operate.ts';
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

async function ready(options: ReadyOptions): Promise<void> {
  const bind = adminAddress(options);
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
  return withAdminOptions(new Command('ready'))
    .description('exit status 0 when a running instance accepts clients, 1 when not')
    .option('--in-step', 'also no until it has read the pins it shares with its cluster once')
    .action(ready);
}
