/** `pinion explain`: which backend does this client get, why, and where does it go if that one is lost? */
import { Command, Option } from 'commander';
import { AccessLists } from '../control/access-lists.ts';
import { addressText } from '../control/backends.ts';
import { Ids } from '../control/ids.ts';
import { type AskedClient, readAskedClient } from '../core/asked-client.ts';
import { type Plan, type RouteProtocol, routeProtocols } from '../core/plan.ts';
import { shareFlows } from '../core/shares.ts';
import type { ListenerView, Snapshot } from '../core/snapshot.ts';
import { tierViewsOf } from '../core/tiers.ts';
import { type Asks, type Explanation, explain, type TierExplained } from '../front/explain.ts';
import { KeptPolicies } from '../front/policies.ts';
import { createSharedMemory } from '../rooms/shared.ts';
import { askAdmin } from './admin-client.ts';
import { exitStatus } from './exit.ts';
import { loadOrComplain } from './load.ts';
import { type AdminOptions, adminAddress, withAdminOptions } from './operate.ts';
import { print } from './standard-output.ts';

interface ExplainOptions extends AdminOptions {
  readonly listener: string;
  readonly client: string;
  readonly speaks?: RouteProtocol;
  readonly serverName?: string;
  readonly alpn?: string;
  readonly without?: string;
  readonly json?: boolean;
}

export function explainCommand(): Command {
  return withAdminOptions(new Command('explain'))
    .description(
      'say which backend a client gets, by pin or by policy, and where it goes if that one is lost',
    )
    .requiredOption('-l, --listener <name>', 'the listener the client connects to')
    .requiredOption(
      '--client <address>',
      'its address: 192.0.2.7, 192.0.2.7:40000 or 2001:db8::7; or what its listener knows it by: server-name=play.example',
    )
    .addOption(new Option('--speaks <protocol>', 'what it speaks, for routes').choices(routeProtocols))
    .option('--server-name <name>', 'the server it asks for, for routes')
    .option('--alpn <protocols>', 'protocols it offers, separated by commas, for routes')
    .option('--without <backend>', 'the backend to imagine lost (default: the one the client gets)')
    .option('--json', 'print JSON')
    .addHelpText(
      'after',
      '\nA running instance is asked for its pins and health. With --config and no instance running, the answer is the' +
        "\npolicy's alone: what a new client would get with every backend up.",
    )
    .action(explainAction);
}

async function explainAction(options: ExplainOptions): Promise<void> {
  let client: AskedClient;
  try {
    client = readAskedClient(options.client);
  } catch (error) {
    process.stderr.write(`--${(error as Error).message}\n`);
    process.exitCode = exitStatus.usage;
    return;
  }
  const plan = options.config === undefined ? undefined : loadOrComplain(options.config);
  if (options.config !== undefined && plan === undefined) return;
  const bind = plan === undefined || options.admin !== undefined ? adminAddress(options) : plan.admin?.listen;
  if (plan === undefined && bind === undefined) return;
  const query = new URLSearchParams({ listener: options.listener, client: options.client });
  if (options.without !== undefined) query.set('without', options.without);
  const { speaks, serverName, alpn } = asksOf(options);
  if (speaks !== undefined) query.set('speaks', speaks);
  if (serverName !== undefined) query.set('server_name', serverName);
  for (const protocol of alpn ?? []) query.append('alpn', protocol);
  const answer = bind === undefined ? undefined : await askAdmin(bind, 'GET', `/explain?${query}`);
  if (answer !== undefined) {
    if (answer.status === 200) show(answer.body as Explanation, options, 'a running instance');
    else complain((answer.body as { error?: string }).error ?? `the instance answered ${answer.status}`);
    return;
  }
  if (plan === undefined) {
    complain(
      'no pinion answers there; name its admin address with --admin, or a configuration with --config',
    );
    return;
  }
  try {
    explainFromPlan(plan, client, options);
  } catch (error) {
    complain((error as Error).message);
  }
}

/** @throws StartFailure when a file of `allow` or `deny` cannot be used */
function listenersOf(plan: Plan, ids: Ids): ListenerView[] {
  const access = new AccessLists({ watch: () => undefined, changed: () => undefined });
  access.prepare(plan);
  const views = plan.listeners.map((listener) => ({
    id: ids.listener(listener),
    plan: listener,
    poolId: listener.pool === undefined ? 0 : ids.pool(listener.pool),
    ...access.view(listener),
  }));
  access.stop();
  return views;
}

function asksOf({ speaks, serverName, alpn }: ExplainOptions): Asks {
  return { speaks, serverName, alpn: alpn?.split(',') };
}

/** No instance runs: the policy's word, with every backend up and no pins. */
function explainFromPlan(plan: Plan, client: AskedClient, options: ExplainOptions): void {
  const ids = new Ids();
  const { shared: _, ...views } = createSharedMemory(1, 1024);
  const snapshot: Snapshot = {
    generation: 1,
    flowsMax: 1,
    secondLooksMax: 0,
    arrivalsMax: 0,
    shares: shareFlows(plan.listeners, 1, plan.limits.udpShare),
    flowLogSample: 0,
    isShared: false,
    machineIps: [],
    memberListeners: [],
    memberIps: [],
    listeners: listenersOf(plan, ids),
    pools: plan.pools.map(({ backends, ...pool }) => ({
      id: ids.pool(pool.name),
      version: 1,
      plan: pool,
      backends: backends.map((backend, i) => {
        const id = ids.backend(pool.name, backend.name);
        views.states.setUp(id, true);
        views.states.setWeight(id, backend.weight);
        return {
          id,
          name: backend.name,
          // Where a name resolves to does not matter to the choice.
          target: backend.address.kind === 'name' ? { kind: 'unix', path: '' } : backend.address,
          addressText: addressText(backend),
          weight: backend.weight,
          maxConnections: 0,
          ...tierViewsOf({ backends, zone: pool.zone })[i],
        };
      }),
    })),
  };
  const source = { views, policies: new KeptPolicies(), nowMs: () => 0 };
  const answer = explain(snapshot, source, options.listener, client, options.without, asksOf(options));
  if (answer === undefined) {
    const names = plan.listeners.map(({ name }) => name).join(', ');
    complain(`no listener ${options.listener}; there are: ${names}`);
  } else {
    show(answer, options, `${plan.source}, no instance asked: every backend taken to be up, pins unknown`);
  }
}

function show(answer: Explanation, options: ExplainOptions, source: string): void {
  if (options.json) {
    print(`${JSON.stringify(answer, null, 2)}\n`);
    return;
  }
  const lines = [
    ['client', answer.client],
    ['listener', `${answer.listener} (pool ${answer.pool}, ${answer.policy})`],
    ...(answer.route === undefined ? [] : [['route', answer.route]]),
    ['key', answer.told === undefined ? answer.key : `${answer.key} (${answer.told})`],
    ...(answer.group === undefined ? [] : [['group', answer.group]]),
    ...(answer.moves === undefined ? [] : [['rebind', answer.moves]]),
    ['backend', answer.backend ?? 'none'],
    ['by', answer.by],
    ['why', answer.why],
    ...(answer.whoseAddress === undefined ? [] : [['whose address', answer.whoseAddress.why]]),
    ...(answer.access?.isAllowed === true ? [['access', answer.access.why]] : []),
    ...(answer.tiers ?? []).map((tier) => [`tier ${tier.tier}`, tierInWords(tier)]),
    ...Object.entries(answer.spared ?? {}).map(([name, why]) => ['spared', `${name}: ${why}`]),
    ...Object.entries(answer.slowStarts ?? {}).map(([name, share]) => [
      `slow start`,
      `${name} has ${asPercent(share)} of its share`,
    ]),
    ...(answer.pin === null ? [] : [['pin', pinInWords(answer.pin)]]),
  ];
  if (answer.without !== undefined) {
    lines.push([`without ${answer.without.lost}`, answer.without.backend ?? 'none']);
  }
  lines.push(['source', source]);
  const width = Math.max(...lines.map(([label]) => label!.length)) + 2;
  for (const [label, value] of lines) print(`${label!.padEnd(width)}${value}\n`);
}

function tierInWords({ backends, backup, ready, share }: TierExplained): string {
  const who = `${backends.join(', ')}${backup ? ' (backup)' : ''}`;
  return `${who}: ${asPercent(ready)} of its weight takes new clients, ${asPercent(share)} of them go there`;
}

function asPercent(share: number): string {
  return `${Math.round(share * 100)} %`;
}

function pinInWords({ writer, reason, expiresInMs, confirmed }: NonNullable<Explanation['pin']>): string {
  const seconds = Math.round(expiresInMs / 1000);
  return `written by instance ${writer} (${reason}), ${confirmed ? 'confirmed' : 'not confirmed yet'}, expires in ${seconds} s unless used`;
}

function complain(text: string): void {
  process.stderr.write(`${text}\n`);
  process.exitCode = exitStatus.refused;
}
