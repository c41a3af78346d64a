/** `pinion pins`: the pin table of a running instance, and pins changed by hand. */
import { Command } from 'commander';
import { mostRule, readMost } from '../front/most.ts';
import { exitStatus } from './exit.ts';
import { type AdminOptions, ask, withAdminOptions } from './operate.ts';

interface FilterOptions extends AdminOptions {
  readonly pool?: string;
  readonly backend?: string;
  readonly client?: string;
  readonly most?: string;
  readonly all?: boolean;
}

interface MoveOptions extends FilterOptions {
  readonly now?: boolean;
  readonly everywhere?: boolean;
}

export function pinsCommand(): Command {
  const pins = new Command('pins').description(
    'look at pins, and change them by hand on all instances at once',
  );
  pins.addCommand(
    withFilterOptions(new Command('list'))
      .description('list pins, as JSON')
      .option('--most <count>', 'at most this many', '1000')
      .action(async (options: FilterOptions) => {
        if (hasCount(options)) await ask(options, 'GET', `/pins?${filterOf(options)}`);
      }),
  );
  pins.addCommand(
    withPlaceOptions(new Command('get'))
      .description('the pin of one client, as JSON')
      .argument(
        '<client>',
        '203.0.113.7, 203.0.113.7:4711, a network 203.0.113.0/24, or a key: server-name=play.example',
      )
      .action((client: string, options: FilterOptions) =>
        ask(options, 'GET', `/pins?${filterOf({ ...options, client })}`),
      ),
  );
  pins.addCommand(setCommand());
  pins.addCommand(
    withFilterOptions(new Command('move'))
      .description('move all pins that match to another backend of their pool')
      .argument('<to>', 'the name of the backend')
      .option('--all', 'the pins of all pools')
      .option(
        '--now',
        'end the connections of this instance that are elsewhere, so that their clients move at once',
      )
      .option('--everywhere', 'with --now: the connections of all instances of the cluster')
      .action(async (to: string, options: MoveOptions) => {
        if (!saysWhich('move', options)) return;
        const query = filterOf(options);
        query.set('to', to);
        if (options.everywhere === true && options.now !== true) {
          refuse('pins move: pins move on all instances anyway; --everywhere goes with --now');
          return;
        }
        if (options.now === true) query.set('now', '1');
        if (options.everywhere === true) query.set('everywhere', '');
        await ask(options, 'POST', `/pins/move?${query}`);
      }),
  );
  pins.addCommand(
    withFilterOptions(new Command('delete'))
      .description('forget all pins that match: their clients are pinned anew')
      .option('--all', 'every pin')
      .action(async (options: FilterOptions) => {
        if (saysWhich('delete', options)) await ask(options, 'POST', `/pins/delete?${filterOf(options)}`);
      }),
  );
  return pins;
}

function setCommand(): Command {
  return withAdminOptions(new Command('set'))
    .description('pin a client to a backend, whatever it was pinned to; its next flow goes there')
    .argument('<listener>', 'the listener the client connects to')
    .argument('<client>', 'its address')
    .argument('<backend>', 'the name of a backend')
    .option('--pool <name>', 'where routes of the listener lead to several pools: in which')
    .action(
      (
        listener: string,
        client: string,
        backend: string,
        { pool, ...options }: AdminOptions & { readonly pool?: string },
      ) => {
        const place = { listener, client, backend, ...(pool === undefined ? {} : { pool }) };
        return ask(options, 'POST', `/pins/set?${new URLSearchParams(place)}`);
      },
    );
}

function withFilterOptions(command: Command): Command {
  return withPlaceOptions(command).option(
    '--client <address>',
    'only pins of this client, network or key (server-name=play.example)',
  );
}

function withPlaceOptions(command: Command): Command {
  return withAdminOptions(command)
    .option('--pool <name>', 'only pins of this pool')
    .option('--backend <name>', 'only pins to this backend');
}

/** A forgotten option must not move or forget the clients of every pool. */
function saysWhich(verb: string, { pool, backend, client, all }: FilterOptions): boolean {
  if (all === true || pool !== undefined || backend !== undefined || client !== undefined) return true;
  return refuse(`pins ${verb}: say which: --pool, --backend or --client; --all for every pin`);
}

function hasCount({ most }: FilterOptions): boolean {
  return readMost(most ?? null) !== undefined || refuse(`--most ${most}: ${mostRule}`);
}

function refuse(why: string): false {
  process.stderr.write(`${why}\n`);
  process.exitCode = exitStatus.usage;
  return false;
}

function filterOf(options: FilterOptions): URLSearchParams {
  const query = new URLSearchParams();
  for (const key of ['pool', 'backend', 'client', 'most'] as const) {
    const value = options[key];
    if (value !== undefined) query.set(key, value);
  }
  if (options.all === true) query.set('all', '1');
  return query;
}
