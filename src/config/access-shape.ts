/**
 * `allow`, `deny` and `refuse` of a listener: what may be written, and the rules that need more than one key. Files are read by
 * control (config/address-file.ts), not here: a configuration can be checked where they are not.
 */
import { isAbsolute } from 'node:path';
import { formatCidr, parseCidr } from '../core/cidr.ts';
import { accessEntriesMax, accessFilesMax, listedNetworksMax } from '../core/limits.ts';
import { choice, type Option, type OptionsOf, type Reading } from '../core/options.ts';
import { type AccessListPlan, type ListenerPlan, refusalWays } from '../core/plan.ts';
import { noNetwork } from './address-file.ts';
import type { ListenerDraft } from './draft.ts';
import { readBy } from './fields.ts';
import { form } from './form.ts';
import { showValue } from './problem.ts';
import type { Report } from './report.ts';
import * as z from './zod.ts';

type Entry = { readonly network: string } | { readonly file: string };

const filePrefix = 'file:';

function readEntry(value: unknown): Reading<Entry> {
  if (typeof value !== 'string')
    return { refused: `must be an address, a network or file:/path, not ${showValue(value)}` };
  if (value.startsWith(filePrefix)) {
    const file = value.slice(filePrefix.length);
    if (isAbsolute(file) && !file.includes('\0')) return { value: { file } };
    return { refused: `needs an absolute path: file:/etc/pinion/allowed.txt, not ${showValue(value)}` };
  }
  if (value.startsWith('/')) return { refused: `write a file as file:${value}` };
  const cidr = parseCidr(value);
  return cidr === undefined ? { refused: noNetwork(value) } : { value: { network: formatCidr(cidr) } };
}

function list(description: string): Option<AccessListPlan | undefined, readonly Entry[]> {
  const error = `must be a list of 1 to ${accessEntriesMax} addresses, networks and file:/paths`;
  const entry = readBy(readEntry, 'An address, a network, or file:/path.', { type: 'string' });
  const field = z
    .array(entry, { error })
    .min(1, { error })
    .max(accessEntriesMax, { error })
    .meta({ description })
    .optional();
  return form(field, (written: readonly Entry[] | undefined) => written && listPlan(written));
}

function listPlan(entries: readonly Entry[]): AccessListPlan {
  const networks = entries.flatMap((entry) => ('network' in entry ? [entry.network] : []));
  const files = entries.flatMap((entry) => ('file' in entry ? [entry.file] : []));
  return { networks, files: [...new Set(files)] };
}

export const accessOptions = {
  allow: list(
    `Who may come in: addresses, networks (10.0.0.0/8, 2001:db8::/32), and files (file:/path) with one of these a line, at most ${listedNetworksMax}. With it everybody else is denied. Files are read again when they change.`,
  ),
  deny: list('Who may not come in, in the same form; before allow.'),
  refuse: {
    ...choice(
      'What a client gets that is denied. reset, also without this key; close: an orderly end; silence: nothing for half a minute, then a reset (of a crowd the first are reset sooner).',
      refusalWays,
      undefined,
    ),
    scope: 'tcp',
  },
} satisfies OptionsOf<Pick<ListenerPlan, 'allow' | 'deny' | 'refuse'>>;

export function checkAccess({ path, value }: ListenerDraft, report: Report): void {
  const { allow, deny, refuse, bind } = value;
  for (const [key, entries] of Object.entries({ allow, deny })) {
    if (entries === undefined) continue;
    if (entries.filter((entry) => entry !== undefined && 'file' in entry).length > accessFilesMax)
      report.problem([...path, key], `names more than ${accessFilesMax} files`);
    if (bind?.bind.kind === 'unix') {
      const why = 'clients of a unix socket have no address; who may write to the socket can connect';
      report.problem([...path, key], why, 'key');
    }
  }
  if (refuse !== undefined && allow === undefined && deny === undefined)
    report.warning([...path, 'refuse'], 'has no effect without allow or deny', 'key');
}
