/** What commands ask of a running instance: which one it is, the question, and how its refusals are told. */
import { formatAddress } from '../core/address-text.ts';
import type { Bind } from '../core/plan.ts';
import { adminAddress } from './admin-address.ts';
import { type AdminAnswer, askAdmin } from './admin-client.ts';
import type { AdminOptions, AskOptions } from './commands/options.ts';
import { exitStatus } from './exit.ts';
import { printable } from './screen/line.ts';
import { print } from './standard-output.ts';

export type Method = 'GET' | 'POST' | 'DELETE';

/**
 * Asks the instance that the options mean.
 * @returns undefined after a mistake has been said and the exit status set: the options are wrong, or nobody is there
 * @throws AdminFailure when something listens there and may not be asked, or does not answer as pinion would
 */
export async function answerOf(
  options: AdminOptions,
  method: Method,
  path: string,
): Promise<AdminAnswer | undefined> {
  const bind = await adminAddress(options);
  if (bind === undefined) return undefined;
  const answer = await askAdmin(bind, method, path);
  if (answer === undefined) complain(nobodyAt(bind, options));
  return answer;
}

export interface Asking<Body> {
  readonly isRefusal?: ((body: Body) => boolean) | undefined;
  readonly only?: ((body: Body) => Body) | undefined;
}

/**
 * As {@link answerOf}, for a good answer: a refusal is told. With `--json` the answer is printed whatever it is.
 * @param how.isRefusal a good answer that says no all the same, for the exit status
 * @param how.only what the command's options leave of a good answer
 * @returns what was answered; undefined: all there is to say has been said
 */
export async function ask<Body>(
  options: AskOptions,
  method: Method,
  path: string,
  { isRefusal, only }: Asking<Body> = {},
): Promise<Body | undefined> {
  const answer = await answerOf(options, method, path);
  if (answer === undefined) return undefined;
  const isGood = answer.status < 400;
  const body = (isGood && only !== undefined ? only(answer.body as Body) : answer.body) as Body;
  if (!isGood || isRefusal?.(body) === true) process.exitCode = exitStatus.refused;
  if (options.json === true) print(`${JSON.stringify(body, null, 2)}\n`);
  else if (isGood) return body;
  else for (const line of refusalLines(answer)) complain(line);
  return undefined;
}

/** What a refusal says: its problems with their places, then the whole. */
export function refusalLines({ status, body }: AdminAnswer): string[] {
  const { error, problems } = (body ?? {}) as { readonly error?: unknown; readonly problems?: unknown };
  const all = Array.isArray(problems) ? problems : [];
  return [...all, typeof error === 'string' ? error : `the instance answered ${status}`].map((line) =>
    printable(String(line)),
  );
}

/** Nobody listens at the address. */
export function nobodyAt(bind: Bind, { config, admin }: AdminOptions): string {
  const where = `no pinion answers on ${formatAddress(bind)}`;
  if (admin !== undefined) return `${where}; is it running, and is this its admin.listen?`;
  if (config !== undefined)
    return `${where}, the admin.listen of ${config}; is it running, or does it still listen on the address it was started with? (--admin ADDRESS)`;
  return `${where}; is it running? Name its configuration (--config FILE) or its admin address (--admin ADDRESS)`;
}

export function complain(text: string): void {
  process.stderr.write(`${text}\n`);
  process.exitCode = exitStatus.refused;
}

/** The command was written wrong. */
export function complainOfUsage(text: string): void {
  process.stderr.write(`${text}\n`);
  process.exitCode = exitStatus.usage;
}
