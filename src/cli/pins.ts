/** `pinion pins`: the pin table of a running instance, and pins changed by hand. */
import { Command } from 'commander';
import { type AdminOptions, ask, withAdminOptions } from './operate.ts';

interface FilterOptions extends AdminOptions {
  readonly pool?: string;
  readonly backend?: string;
  readonly client?: string;
  readonly most?: string;
}

export function pinsCommand(): Command {
  const pins = new Command('pins').description(
    'look at pins, and change them by hand on all instances at once',
  );
  pins.addCommand(
    withFilterOptions(new Command('list'))
      .description('list pins, as JSON')
      .option('--most <count>', 'at most this many', '1000')
      .action((options: FilterOptions) => ask(options, 'GET', `/pins?${filterOf(options)}`)),
  );
  pins.addCommand(
    withFilterOptions(new Command('get'))
      .description('the pin of one client, as JSON')
      .argument('<client>', '203.0.113.7, 203.0.113.7:4711 or a network 203.0.113.0/24')
      .action((client: string, options: FilterOptions) =>
        ask(options, 'GET', `/pins?${filterOf({ ...options, client })}`),
      ),
  );
  pins.addCommand(
    withAdminOptions(new Command('set'))
      .description('pin a client to a backend, whatever it was pinned to; its next flow goes there')
      .argument('<listener>', 'the listener the client connects to')
      .argument('<client>', 'its address')
      .argument('<backend>', 'the name of a backend')
      .action((listener: string, client: string, backend: string, options: AdminOptions) =>
        ask(options, 'POST', `/pins/set?${new URLSearchParams({ listener, client, backend })}`),
      ),
  );
  pins.addCommand(
    withFilterOptions(new Command('move'))
      .description('move all pins that match to another backend of their pool')
      .argument('<to>', 'the name of the backend')
      .action((to: string, options: FilterOptions) => {
        const query = filterOf(options);
        query.set('to', to);
        return ask(options, 'POST', `/pins/move?${query}`);
      }),
  );
  pins.addCommand(
    withFilterOptions(new Command('delete'))
      .description('forget all pins that match: their clients are pinned anew')
      .action((options: FilterOptions) => ask(options, 'POST', `/pins/delete?${filterOf(options)}`)),
  );
  return pins;
}

function withFilterOptions(command: Command): Command {
  return withAdminOptions(command)
    .option('--pool <name>', 'only pins of this pool')
    .option('--backend <name>', 'only pins to this backend')
    .option('--client <address>', 'only pins of this client or network');
}

function filterOf(options: FilterOptions): URLSearchParams {
  const query = new URLSearchParams();
  for (const key of ['pool', 'backend', 'client', 'most'] as const) {
    const value = options[key];
    if (value !== undefined) query.set(key, value);
  }
  return query;
}
