/**
 * `pinion ready`: one question with an exit status for an answer, for what decides where clients go (a route announcer, a
 * deploy script). It promises nothing about the backends: an instance whose backends are all down is ready, because
 * its peer would see the same.
 */
import { notReadyBecause, type ReadyStatus } from '../front/readiness.ts';
import { adminAddress } from './admin-address.ts';
import { type AdminAnswer, askAdmin } from './admin-client.ts';
import { nobodyAt } from './ask.ts';
import type { ReadyOptions } from './commands/look.ts';
import { exitStatus } from './exit.ts';
import { print } from './standard-output.ts';

/** As {@link notReadyBecause}, of what the admin address answered. */
export function refusalIn(answer: AdminAnswer, inStep: boolean): string | undefined {
  if (answer.status !== 200) return `the admin address answered ${answer.status}`;
  return notReadyBecause(answer.body as ReadyStatus, inStep);
}

export async function ready(options: ReadyOptions): Promise<void> {
  const bind = await adminAddress(options);
  if (bind === undefined) return;
  let reason: string | undefined;
  try {
    const answer = await askAdmin(bind, 'GET', '/status');
    reason = answer === undefined ? nobodyAt(bind, options) : refusalIn(answer, options.inStep === true);
  } catch (error) {
    // No answer in time, no permission, something else listens there: all of them mean no.
    reason = (error as Error).message;
  }
  const isReady = reason === undefined;
  if (options.json === true) print(`${JSON.stringify({ ready: isReady, why: reason ?? null }, null, 2)}\n`);
  else print(isReady ? 'ready\n' : `not ready: ${reason}\n`);
  if (!isReady) process.exitCode = exitStatus.refused;
}
