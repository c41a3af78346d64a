/** `pinion version`: of this command, and of the instance that runs. */

import { formatAddress } from '../../core/address-text.ts';
import type { StatusPage } from '../../front/api/shapes.ts';
import { adminAddress } from '../admin-address.ts';
import { askAdmin } from '../admin-client.ts';
import { AdminFailure } from '../admin-failure.ts';
import { refusalLines } from '../ask.ts';
import type { AskOptions } from '../commands/options.ts';
import { printable } from '../screen/line.ts';
import { print } from '../standard-output.ts';
import { version } from '../version.ts';

export interface Versions {
  readonly version: string;
  readonly node: string;
  readonly platform: string;
  /** null: nobody is there who says it. */
  readonly running: { readonly version: string; readonly node: string; readonly startedAt: string } | null;
  /** Where that was asked. */
  readonly admin: string;
}

export async function versions(options: AskOptions): Promise<void> {
  const bind = await adminAddress(options);
  if (bind === undefined) return;
  const running = await runningAt(bind);
  const found: Versions = {
    version,
    node: process.versions.node,
    platform: `${process.platform} ${process.arch}`,
    running: typeof running === 'string' ? null : running,
    admin: formatAddress(bind),
  };
  if (options.json === true) print(`${JSON.stringify(found, null, 2)}\n`);
  else print(versionText(found, typeof running === 'string' ? running : undefined));
}

/**
 * Whoever asks for the version of the command is not stopped by an instance that does not answer.
 * @returns null: nobody is there; a sentence: somebody is, and does not say
 */
async function runningAt(bind: Parameters<typeof askAdmin>[0]): Promise<Versions['running'] | string> {
  try {
    const answer = await askAdmin(bind, 'GET', '/v1/status');
    if (answer === undefined) return null;
    if (answer.status !== 200)
      return `the instance on ${formatAddress(bind)} does not say its version: ${refusalLines(answer).join('; ')}`;
    const { version: running, node, startedAt } = (answer.body as StatusPage).instance;
    return { version: running, node, startedAt };
  } catch (error) {
    if (error instanceof AdminFailure) return error.message;
    throw error;
  }
}

/** @param why what is there does not say which version it is */
export function versionText(
  { version: own, node, platform, running, admin }: Versions,
  why = `no instance answers on ${admin}`,
): string {
  const lines = [`pinion ${own} (Node.js ${node}, ${platform})`];
  if (running === null) lines.push(why);
  else {
    lines.push(
      `${printable(running.version)} runs on ${admin} since ${running.startedAt} (Node.js ${running.node})`,
    );
    if (running.version !== own) lines.push(`restart that instance to use ${own}`);
  }
  return `${lines.join('\n')}\n`;
}
