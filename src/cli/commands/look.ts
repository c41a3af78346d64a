/** The commands that show what a running instance is doing. */
import { Command, Option } from 'commander';
import { type RouteProtocol, routeProtocols } from '../../core/plan.ts';
import {
  type AdminOptions,
  type AskOptions,
  type LookOptions,
  readPort,
  withAdminOptions,
  withAskOptions,
  withLookOptions,
} from './options.ts';

export function statusCommand(): Command {
  return withLookOptions(new Command('status'))
    .description('what a running instance is doing, on one screen')
    .action(async (options: LookOptions) => (await import('../look/status.ts')).status(options));
}

export interface TopOptions extends AdminOptions {
  readonly view: string;
}

export const topViews = ['pools', 'listeners', 'flows', 'events', 'cluster'] as const;

export function topCommand(): Command {
  return withAdminOptions(new Command('top'))
    .description('the same live, on the whole screen: look, filter, drain, move, explain (press ? there)')
    .addOption(new Option('--view <view>', 'what is shown first').choices(topViews).default('pools'))
    .addHelpText('after', '\nNO_COLOR=1 in the environment turns colour off, here as everywhere.')
    .action(async (options: TopOptions) => (await import('../top/top.ts')).top(options));
}

export interface BackendsOptions extends LookOptions {
  readonly wide?: boolean;
  readonly down?: boolean;
}

export function backendsCommand(): Command {
  return withLookOptions(new Command('backends'))
    .description('the backends: state and cause, since when, flows, pins, share, last check')
    .argument('[pool or backend]', 'of this pool only, or one: POOL/BACKEND, with all that is known of it')
    .option('--down', 'only those that take no new clients')
    .option('--wide', 'all columns, however wide the terminal is')
    .action(async (which: string | undefined, options: BackendsOptions) =>
      (await import('../look/backends.ts')).backends(which, options),
    );
}

export function poolsCommand(): Command {
  return withLookOptions(new Command('pools'))
    .description('the pools: state, policy, how many backends are up, flows, pins')
    .action(async (options: LookOptions) => (await import('../look/pools.ts')).pools(options));
}

export function listenersCommand(): Command {
  return withLookOptions(new Command('listeners'))
    .description('the listeners: address, flows, new ones a second, what was turned away')
    .action(async (options: LookOptions) => (await import('../look/listeners.ts')).listeners(options));
}

export interface ConnectionsOptions extends LookOptions {
  readonly cluster?: boolean;
  readonly most: string;
}

export function connectionsCommand(): Command {
  return withLookOptions(new Command('connections'))
    .addCommand(killCommand())
    .description('who is connected where, through which backend')
    .allowExcessArguments()
    .option('--cluster', 'of all instances')
    .option('--most <count>', 'at most this many of each worker or instance', '1000')
    .action(async (options: ConnectionsOptions) =>
      (await import('../look/connections.ts')).connections(options),
    );
}

export interface KillOptions extends AskOptions {
  readonly listener?: string;
  readonly pool?: string;
  readonly backend?: string;
  readonly client?: string;
  readonly all?: boolean;
  readonly over?: string;
  readonly everywhere?: boolean;
}

function killCommand(): Command {
  return withAskOptions(new Command('kill'))
    .description('end connections and UDP conversations; their clients may come back at once')
    .option('--listener <name>', 'only of this listener')
    .option('--pool <name>', 'only of this pool')
    .option('--backend <name>', 'only to backends of this name')
    .option('--client <address>', 'only of this client or network')
    .option('--all', 'every one')
    .option('--over <time>', 'TCP: evenly over this time, such as 30s; default: close_over of each pool')
    .option('--everywhere', 'on all instances of the cluster; default: on this one')
    .action(async (_: unknown, command: Command) =>
      // What the command above it knows as well (--admin) is taken there.
      (await import('../change/kill.ts')).kill(command.optsWithGlobals<KillOptions>()),
    );
}

export interface ExplainOptions extends AskOptions {
  readonly listener: string;
  readonly client: string;
  readonly speaks?: RouteProtocol;
  readonly serverName?: string;
  readonly alpn?: string;
  readonly firstBytes?: string;
  readonly port?: number;
  readonly without?: string;
}

export function explainCommand(): Command {
  return withAskOptions(new Command('explain'))
    .description('which backend a client gets, by pin or by policy, and where it goes if that one is lost')
    .requiredOption('-l, --listener <name>', 'the listener the client connects to')
    .requiredOption(
      '--client <address>',
      'its address: 192.0.2.7, 192.0.2.7:40000 or 2001:db8::7; or what its listener knows it by: server-name=play.example',
    )
    .addOption(new Option('--speaks <protocol>', 'what it speaks, for routes').choices(routeProtocols))
    .option('--server-name <name>', 'the server it asks for, for routes')
    .option('--alpn <protocols>', 'protocols it offers, separated by commas, for routes')
    .option('--first-bytes <text>', 'what it says first, for routes and keys that go by it; %xx is a byte')
    .option('--port <port>', 'the port it came to, for a listener with several', readPort)
    .option('--without <backend>', 'the backend to imagine lost (default: the one the client gets)')
    .addHelpText(
      'after',
      '\nA running instance is asked for its pins and health. With --config and no instance running, the answer is the' +
        "\npolicy's alone: what a new client would get with every backend up.",
    )
    .action(async (options: ExplainOptions) => (await import('../explain.ts')).explainClient(options));
}

export interface EventsOptions extends AskOptions {
  readonly follow?: boolean;
  readonly since?: string;
}

export function eventsCommand(): Command {
  return withAskOptions(new Command('events'))
    .description('what has happened: backends up and down, reloads, faults, flows that failed')
    .option('-f, --follow', 'go on, with each event as it comes')
    .option('--since <id>', 'only those after this one (the id is in --json)')
    .action(async (options: EventsOptions) => (await import('../look/events.ts')).events(options));
}

export interface ReadyOptions extends AskOptions {
  readonly inStep?: boolean;
}

export function readyCommand(): Command {
  return withAskOptions(new Command('ready'))
    .description('exit status 0 when a running instance accepts clients, 1 when not')
    .option('--in-step', 'also no until it has read the pins it shares with its cluster once')
    .action(async (options: ReadyOptions) => (await import('../ready.ts')).ready(options));
}

export function versionCommand(): Command {
  return withAskOptions(new Command('version'))
    .description('the version of this command, and of the instance that runs')
    .action(async (options: AskOptions) => (await import('../look/version.ts')).versions(options));
}
