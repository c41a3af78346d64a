/**
 * Where the instance that a command means is asked. Its configuration is not checked for that: of a file that is plain and says where,
 * nothing else is looked at, as that is most of the time that `status` would take. What is not as plain goes the long way, which
 * says what is wrong.
 */
import { readListen } from '../config/bind.ts';
import { readText } from '../config/text.ts';
import { readTree } from '../config/tree.ts';
import type { Bind } from '../core/plan.ts';
import type { AdminOptions } from './commands/options.ts';
import { exitStatus } from './exit.ts';

const defaultAdmin: Bind = { kind: 'unix', path: '/run/pinion/admin.sock' };

/** @returns undefined after the mistake has been said and the exit status set */
export async function adminAddress(options: AdminOptions): Promise<Bind | undefined> {
  if (options.admin !== undefined) return addressFrom('--admin', options.admin);
  if (options.config === undefined) {
    const { PINION_ADMIN: always = '' } = process.env;
    return always === '' ? defaultAdmin : addressFrom('PINION_ADMIN', always);
  }
  const found = await addressIn(options.config);
  if (found === 'refused') return undefined;
  if (found !== undefined) return found;
  process.stderr.write(`${options.config} has no admin.listen, so a running instance cannot be asked\n`);
  process.exitCode = exitStatus.refused;
  return undefined;
}

function addressFrom(source: string, text: string): Bind | undefined {
  const reading = readListen(text);
  if ('value' in reading) return reading.value;
  process.stderr.write(`${source} ${reading.refused}\n`);
  process.exitCode = exitStatus.usage;
  return undefined;
}

/**
 * `admin.listen` of a configuration.
 * @returns undefined: it has none; refused: it is no good, and what is wrong has been said
 */
export async function addressIn(file: string): Promise<Bind | undefined | 'refused'> {
  const plain = plainAddressIn(file);
  if (plain !== undefined) return plain;
  const { loadOrComplain } = await import('./load.ts');
  const plan = loadOrComplain(file);
  return plan === undefined ? 'refused' : plan.admin?.listen;
}

/** undefined: it takes more to know. */
function plainAddressIn(file: string): Bind | undefined {
  // What a shell hands over can be read once.
  if (file.startsWith('/dev/')) return undefined;
  const text = readText(file);
  if (!('value' in text)) return undefined;
  const tree = readTree(text.value, file);
  if (!('value' in tree) || tree.problems.length > 0) return undefined;
  const { admin } = (tree.value ?? {}) as { readonly admin?: { readonly listen?: unknown } | null };
  const listen = admin?.listen;
  if (typeof listen !== 'string' || listen.includes('$')) return undefined;
  const reading = readListen(listen);
  return 'value' in reading ? reading.value : undefined;
}
