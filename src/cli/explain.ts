/** `pinion explain`: which backend does this client get, why, and where does it go if that one is lost? */
import { type AskedClient, readAskedClient } from '../core/asked-client.ts';
import type { Asks, Explanation, TierExplained } from '../front/explain.ts';
import { addressIn, adminAddress } from './admin-address.ts';
import { type AdminAnswer, askAdmin } from './admin-client.ts';
import { complain, complainOfUsage, nobodyAt } from './ask.ts';
import type { ExplainOptions } from './commands/look.ts';
import { percent } from './screen/amounts.ts';
import { type Line, printable, span } from './screen/line.ts';
import { terminalOf, textOf } from './screen/terminal.ts';
import { print } from './standard-output.ts';

export async function explainClient(options: ExplainOptions): Promise<void> {
  let client: AskedClient;
  try {
    client = readAskedClient(options.client);
  } catch (error) {
    return complainOfUsage(`--${(error as Error).message}`);
  }
  const { config } = options;
  const answer = await askInstance(options);
  if (answer === 'said') return;
  if (answer !== undefined) {
    if (answer.status === 200) show(answer.body as Explanation, options, 'a running instance');
    else complain((answer.body as { error?: string }).error ?? `the instance answered ${answer.status}`);
    return;
  }
  // Only who has named a configuration comes here.
  const { explainFromPlan } = await import('./explain-plan.ts');
  const { loadOrComplain } = await import('./load.ts');
  const plan = loadOrComplain(config!);
  if (plan === undefined) return;
  try {
    const explanation = explainFromPlan(plan, client, options.listener, options.without, asksOf(options));
    show(
      explanation,
      options,
      `${plan.source}, no instance asked: every backend taken to be up, pins unknown`,
    );
  } catch (error) {
    complain((error as Error).message);
  }
}

/** @returns undefined: none runs, and the configuration may answer; said: neither, and why has been said */
async function askInstance(options: ExplainOptions): Promise<AdminAnswer | undefined | 'said'> {
  const { config, admin } = options;
  const isByFile = admin === undefined && config !== undefined;
  const bind = isByFile ? await addressIn(config) : await adminAddress(options);
  if (bind === 'refused' || (bind === undefined && !isByFile)) return 'said';
  const answer = bind === undefined ? undefined : await askAdmin(bind, 'GET', `/explain?${queryOf(options)}`);
  if (answer !== undefined || config !== undefined) return answer;
  complain(nobodyAt(bind!, options));
  return 'said';
}

function queryOf(options: ExplainOptions): URLSearchParams {
  const query = new URLSearchParams({ listener: options.listener, client: options.client });
  if (options.without !== undefined) query.set('without', options.without);
  const { speaks, serverName, alpn, firstBytes, port } = asksOf(options);
  if (speaks !== undefined) query.set('speaks', speaks);
  if (serverName !== undefined) query.set('server_name', serverName);
  if (firstBytes !== undefined) query.set('first_bytes', firstBytes);
  if (port !== undefined) query.set('port', `${port}`);
  for (const protocol of alpn ?? []) query.append('alpn', protocol);
  return query;
}

function asksOf({ speaks, serverName, alpn, firstBytes, port }: ExplainOptions): Asks {
  return { speaks, serverName, alpn: alpn?.split(','), firstBytes, port };
}

function show(answer: Explanation, options: ExplainOptions, source: string): void {
  if (options.json) {
    print(`${JSON.stringify(answer, null, 2)}\n`);
    return;
  }
  const { isColoured } = terminalOf(process.stdout, process.env);
  print(textOf(explanationLines(answer, source), isColoured));
}

export function explanationLines(answer: Explanation, source: string): Line[] {
  const lines: (readonly [string, string])[] = [
    ['client', answer.client],
    ['listener', `${answer.listener} (pool ${answer.pool}, ${answer.policy})`],
    ...line('route', answer.route),
    ['key', answer.told === undefined ? answer.key : `${answer.key} (${answer.told})`],
    ...line('group', answer.group),
    ...line('rebind', answer.moves),
    ['backend', answer.backend ?? 'none'],
    ...line('address', answer.address ?? undefined),
    ...line('proxy header', answer.proxyHeader),
    ['by', answer.by],
    ['why', answer.why],
    ...line('whose address', answer.whoseAddress?.why),
    ...line('access', answer.access?.isAllowed === true ? answer.access.why : undefined),
    ...(answer.limits ?? []).map(
      ({ limit, of, why }) =>
        ['limit', `${limit}${of === answer.client ? '' : ` of ${of}`}: ${why}`] as const,
    ),
    ...(answer.bandwidth ?? []).map(({ of, why }) => ['bandwidth', `${of}: ${why}`] as const),
    ...line('session ends', answer.ends),
    ...line('waits', answer.waits),
    ...(answer.tiers ?? []).map((tier) => [`tier ${tier.tier}`, tierInWords(tier)] as const),
    ...Object.entries(answer.spared ?? {}).map(([name, why]) => ['spared', `${name}: ${why}`] as const),
    ...Object.entries(answer.slowStarts ?? {}).map(
      ([name, share]) => ['slow start', `${name} has ${percent(share)} of its share`] as const,
    ),
    ...line('pin', answer.pin === null ? undefined : pinInWords(answer.pin)),
    ...(answer.without === undefined
      ? []
      : [[`without ${answer.without.lost}`, answer.without.backend ?? 'none'] as const]),
    ['source', source],
  ];
  const width = Math.max(...lines.map(([label]) => label.length)) + 2;
  return lines.map(([label, value]) => [
    span(label.padEnd(width), 'dim'),
    span(printable(value), label === 'backend' ? (answer.backend === null ? 'bad' : 'strong') : undefined),
  ]);
}

function line(label: string, value: string | undefined): (readonly [string, string])[] {
  return value === undefined ? [] : [[label, value]];
}

function tierInWords({ backends, backup, ready, share }: TierExplained): string {
  const who = `${backends.join(', ')}${backup ? ' (backup)' : ''}`;
  return `${who}: ${percent(ready)} of its weight takes new clients, ${percent(share)} of them go there`;
}

function pinInWords({ writer, reason, expiresInMs, confirmed }: NonNullable<Explanation['pin']>): string {
  const seconds = Math.round(expiresInMs / 1000);
  return `written by instance ${writer} (${reason}), ${confirmed ? 'confirmed' : 'not confirmed yet'}, expires in ${seconds} s unless used`;
}
