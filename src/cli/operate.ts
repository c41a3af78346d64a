/** Commands that talk to a running instance: status, what an operator says of a backend, reload. */
import { Command } from 'commander';
import { readListen } from '../config/bind.ts';
import { formatAddress } from '../core/address-text.ts';
import type { Bind } from '../core/plan.ts';
import { askAdmin } from './admin-client.ts';
import { exitStatus } from './exit.ts';
import { loadOrComplain } from './load.ts';
import { print } from './standard-output.ts';

export interface AdminOptions {
  readonly config?: string;
  readonly admin?: string;
}

/** Adds the two ways to say which instance: its admin address, or its configuration. */
export function withAdminOptions(command: Command): Command {
  return command
    .option('-c, --config <file>', "the instance's configuration (its admin.listen is used)")
    .option('-a, --admin <address>', 'its admin address: unix:/run/pinion/admin.sock or 127.0.0.1:9465');
}

const defaultAdmin: Bind = { kind: 'unix', path: '/run/pinion/admin.sock' };

/** @returns undefined after the mistake has been said and the exit status set */
export function adminAddress(options: AdminOptions): Bind | undefined {
  if (options.admin !== undefined) {
    const reading = readListen(options.admin);
    if ('value' in reading) return reading.value;
    process.stderr.write(`--admin ${reading.refused}\n`);
    process.exitCode = exitStatus.usage;
    return undefined;
  }
  if (options.config === undefined) return defaultAdmin;
  const plan = loadOrComplain(options.config);
  if (plan === undefined) return undefined;
  if (plan.admin !== undefined) return plan.admin.listen;
  process.stderr.write(`${options.config} has no admin.listen, so a running instance cannot be asked\n`);
  process.exitCode = exitStatus.refused;
  return undefined;
}

/** Asks, prints the answer as JSON, or says what is wrong. A good answer is also told to `heard`. */
export async function ask(
  options: AdminOptions,
  method: 'GET' | 'POST',
  path: string,
  heard: (body: unknown) => void = () => {},
): Promise<void> {
  const bind = adminAddress(options);
  if (bind === undefined) return;
  const answer = await askAdmin(bind, method, path);
  if (answer === undefined) {
    process.stderr.write(
      `no pinion answers on ${formatAddress(bind)}; is it running, and is this its admin.listen?\n`,
    );
    process.exitCode = exitStatus.refused;
    return;
  }
  print(`${JSON.stringify(answer.body, null, 2)}\n`);
  if (answer.status >= 400) process.exitCode = exitStatus.refused;
  else heard(answer.body);
}

export function statusCommand(): Command {
  return withAdminOptions(new Command('status'))
    .description('what a running instance is doing, as JSON')
    .action((options: AdminOptions) => ask(options, 'GET', '/status'));
}

interface OperatorOptions extends AdminOptions {
  readonly everywhere?: boolean;
  readonly movePinned?: boolean;
  readonly force?: boolean;
}

function operatorCommand(name: string, description: string): Command {
  return withAdminOptions(new Command(name))
    .description(description)
    .argument('<pool/backend>', 'which one, for example pg/pg1')
    .option('--everywhere', 'on all instances of the cluster');
}

/** One that may leave a pool without anybody for new clients. */
function takingCommand(name: string, description: string): Command {
  return operatorCommand(name, description).option(
    '--force',
    'although nobody else of its pool takes new clients',
  );
}

/** The commands that say what a backend is to do until they are taken back. */
export function operatorCommands(): Command[] {
  return [
    takingCommand('drain', 'let a backend run empty: no new clients, pinned ones stay')
      .option('--move-pinned', 'pinned clients go elsewhere with their next connection')
      .action((target: string, options: OperatorOptions) =>
        operate(target, options, 'drain', options.movePinned === true ? { pinned: 'move' } : {}),
      ),
    takingCommand(
      'maintenance',
      'take a backend out: it counts as down, and on_down says what becomes of its connections',
    ).action((target: string, options: OperatorOptions) => operate(target, options, 'maintenance')),
    operatorCommand('undrain', 'end the drain or the maintenance of a backend').action(
      (target: string, options: OperatorOptions) => operate(target, options, 'undrain'),
    ),
    takingCommand('weight', 'give a backend another weight')
      .argument('<weight>', '0 to 256, or `configured`: what the file says')
      .action((target: string, to: string, options: OperatorOptions) =>
        operate(target, options, 'weight', { to }),
      ),
  ];
}

function operate(
  target: string,
  options: OperatorOptions,
  word: string,
  query: Readonly<Record<string, string>> = {},
): Promise<void> | undefined {
  const slash = target.indexOf('/');
  if (slash <= 0 || slash === target.length - 1) {
    process.stderr.write(`${target}: write POOL/BACKEND, for example pg/pg1\n`);
    process.exitCode = exitStatus.usage;
    return undefined;
  }
  const pool = encodeURIComponent(target.slice(0, slash));
  const backend = encodeURIComponent(target.slice(slash + 1));
  const words = new URLSearchParams(query);
  if (options.everywhere === true) words.set('everywhere', '');
  if (options.force === true) words.set('force', '');
  const path = `/pools/${pool}/backends/${backend}/${word}`;
  return ask(options, 'POST', words.size === 0 ? path : `${path}?${words.toString()}`);
}

export function reloadCommand(): Command {
  return withAdminOptions(new Command('reload'))
    .description('let a running instance read its configuration again; a bad file changes nothing')
    .action((options: AdminOptions) =>
      ask(options, 'POST', '/reload', (body) => {
        const { needRestart = [] } = body as { needRestart?: readonly string[] };
        if (needRestart.length > 0) process.stderr.write(`restart to change ${needRestart.join(', ')}\n`);
      }),
    );
}
