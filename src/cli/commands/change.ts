/** The commands by which an operator changes a running instance. */
import { Command } from 'commander';
import { type AskOptions, type LookOptions, withAskOptions, withLookOptions } from './options.ts';

export interface BackendOrderOptions extends AskOptions {
  readonly everywhere?: boolean;
  readonly movePinned?: boolean;
  readonly force?: boolean;
  readonly dryRun?: boolean;
}

type BackendOrder = 'drain' | 'maintenance' | 'undrain' | 'weight';

function orderCommand(name: BackendOrder, description: string): Command {
  return withAskOptions(new Command(name))
    .description(description)
    .argument('<pool/backend>', 'which one, for example pg/pg1')
    .option('--everywhere', 'on all instances of the cluster')
    .option('-n, --dry-run', 'say what would happen, and change nothing');
}

/** One that may leave a pool without anybody for new clients. */
function takingCommand(name: BackendOrder, description: string): Command {
  return orderCommand(name, description).option(
    '--force',
    'although nobody else of its pool takes new clients',
  );
}

async function give(
  order: BackendOrder,
  target: string,
  options: BackendOrderOptions,
  query: Readonly<Record<string, string>> = {},
): Promise<void> {
  await (await import('../change/backend.ts')).giveOrder(order, target, options, query);
}

/** The commands that say what a backend is to do until they are taken back. */
export function backendOrderCommands(): Command[] {
  return [
    takingCommand('drain', 'let a backend run empty: no new clients, pinned ones stay')
      .option('--move-pinned', 'pinned clients go elsewhere with their next connection')
      .action((target: string, options: BackendOrderOptions) =>
        give('drain', target, options, options.movePinned === true ? { pinned: 'move' } : {}),
      ),
    takingCommand(
      'maintenance',
      'take a backend out: it counts as down, and on_down says what becomes of its connections',
    ).action((target: string, options: BackendOrderOptions) => give('maintenance', target, options)),
    orderCommand('undrain', 'end the drain or the maintenance of a backend').action(
      (target: string, options: BackendOrderOptions) => give('undrain', target, options),
    ),
    takingCommand('weight', 'give a backend another weight')
      .argument('<weight>', '0 to 256, or `configured`: what the file says')
      .action((target: string, to: string, options: BackendOrderOptions) =>
        give('weight', target, options, { to }),
      ),
  ];
}

export interface ReloadOptions extends AskOptions {
  readonly dryRun?: boolean;
}

export function reloadCommand(): Command {
  return withAskOptions(new Command('reload'))
    .description('let a running instance read its configuration again; a bad file changes nothing')
    .option('-n, --dry-run', 'say what a reload would change, and change nothing')
    .action(async (options: ReloadOptions) => (await import('../change/reload.ts')).reload(options));
}

export interface PinFilterOptions extends LookOptions {
  readonly pool?: string;
  readonly backend?: string;
  readonly client?: string;
  readonly most?: string;
  readonly all?: boolean;
}

export interface MovePinsOptions extends PinFilterOptions {
  readonly now?: boolean;
  readonly everywhere?: boolean;
}

export interface SetPinOptions extends AskOptions {
  readonly pool?: string;
}

export function pinsCommand(): Command {
  const pins = new Command('pins').description(
    'look at pins, and change them by hand on all instances at once',
  );
  pins.addCommand(
    withFilterOptions(withLookOptions(new Command('list')))
      .description('list pins')
      .option('--most <count>', 'at most this many', '1000')
      .action(async (options: PinFilterOptions) => (await import('../look/pins.ts')).listPins(options)),
  );
  pins.addCommand(
    withPlaceOptions(withLookOptions(new Command('get')))
      .description('the pin of one client')
      .argument(
        '<client>',
        '203.0.113.7, 203.0.113.7:4711, a network 203.0.113.0/24, or a key: server-name=play.example',
      )
      .action(async (client: string, options: PinFilterOptions) =>
        (await import('../look/pins.ts')).getPin(client, options),
      ),
  );
  pins.addCommand(setCommand());
  pins.addCommand(
    withFilterOptions(withAskOptions(new Command('move')))
      .description('move all pins that match to another backend of their pool')
      .argument('<to>', 'the name of the backend')
      .option('--all', 'the pins of all pools')
      .option(
        '--now',
        'end the connections of this instance that are elsewhere, so that their clients move at once',
      )
      .option('--everywhere', 'with --now: the connections of all instances of the cluster')
      .action(async (to: string, options: MovePinsOptions) =>
        (await import('../change/pins.ts')).movePins(to, options),
      ),
  );
  pins.addCommand(
    withFilterOptions(withAskOptions(new Command('delete')))
      .description('forget all pins that match: their clients are pinned anew')
      .option('--all', 'every pin')
      .action(async (options: PinFilterOptions) => (await import('../change/pins.ts')).deletePins(options)),
  );
  return pins;
}

function setCommand(): Command {
  return withAskOptions(new Command('set'))
    .description('pin a client to a backend, whatever it was pinned to; its next flow goes there')
    .argument('<listener>', 'the listener the client connects to')
    .argument('<client>', 'its address')
    .argument('<backend>', 'the name of a backend')
    .option('--pool <name>', 'where routes of the listener lead to several pools: in which')
    .action(async (listener: string, client: string, backend: string, options: SetPinOptions) =>
      (await import('../change/pins.ts')).setPin({ listener, client, backend }, options),
    );
}

function withFilterOptions(command: Command): Command {
  return withPlaceOptions(command).option(
    '--client <address>',
    'only pins of this client, network or key (server-name=play.example)',
  );
}

function withPlaceOptions(command: Command): Command {
  return command
    .option('--pool <name>', 'only pins of this pool')
    .option('--backend <name>', 'only pins to this backend');
}
