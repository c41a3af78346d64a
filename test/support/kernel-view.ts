/** Views of the kernel's listeners for tests, made of configurations as users write them. */
import { parsePlan } from '../../src/config/load.ts';
import type { AccessView } from '../../src/core/access.ts';
import { Address } from '../../src/core/address.ts';
import { RangesBuilder } from '../../src/core/address-ranges.ts';
import { parseCidr } from '../../src/core/cidr.ts';
import type { Plan } from '../../src/core/plan.ts';
import type { ListenerView, PoolView } from '../../src/core/snapshot.ts';
import { tableOf } from '../../src/kernel/layout.ts';
import type { RulesetView } from '../../src/kernel/view.ts';

export function planOfText(text: string): Plan {
  const result = parsePlan(text, 'test.yaml');
  if ('problems' in result) throw new Error(JSON.stringify(result.problems));
  return result.plan;
}

export interface Given {
  /** Ids of backends by clients, by the name of the pool. */
  readonly pins?: Readonly<Record<string, Readonly<Record<string, number>>>>;
  readonly isEnding?: boolean;
  /** Ids of backends that nobody is sent to. */
  readonly down?: readonly number[];
}

/** Backends have the ids 1, 2, ... in the order of the file, and serve buckets in turn. Names have no address. */
export function viewOf(text: string, { pins = {}, isEnding = false, down = [] }: Given = {}): RulesetView {
  const plan = planOfText(text);
  let id = 0;
  const pools = plan.pools.map(
    ({ backends, ...rest }, i): PoolView => ({
      id: i + 1,
      version: 1,
      plan: rest,
      backends: backends.map((backend) => ({
        id: ++id,
        name: backend.name,
        target: backend.address.kind === 'name' ? undefined : backend.address,
        addressText: '',
        weight: backend.weight,
        maxConnections: 0,
      })),
    }),
  );
  const listeners = plan.listeners.map(
    (listener, i): ListenerView => ({
      id: i,
      plan: listener,
      poolId: plan.pools.findIndex(({ name }) => name === listener.pool) + 1,
      ...accessOf(listener),
    }),
  );
  return {
    table: tableOf(plan),
    listeners: listeners.filter((listener) => listener.plan.relay === 'kernel'),
    pools,
    isEnding,
    bucketsOf: (pool, family) => {
      const serving = pool.backends.filter(
        ({ id, target }) =>
          !down.includes(id) && target?.kind === 'inet' && Address.parse(target.ip, 0)!.family === family,
      );
      return Int32Array.from({ length: pool.plan.tableSize }, (_, i) =>
        serving.length === 0 ? 0 : serving[i % serving.length]!.id,
      );
    },
    pinsIn: ({ listener, family, numberOf }) => {
      const ofPool = Object.entries(pins[listener.pool.plan.name] ?? {});
      const ofFamily = ofPool.filter(([ip]) => ip.includes(':') === (family === 6));
      const elements = ofFamily.map(([ip, id]) => [ip, String(numberOf(id))] as const);
      return { kind: 'elements', elements: new Map(elements) };
    },
  };
}

function accessOf({ allow, deny }: Pick<Plan['listeners'][number], 'allow' | 'deny'>): {
  access?: AccessView;
} {
  if (allow === undefined && deny === undefined) return {};
  const list = (networks: readonly string[]) => {
    const builder = new RangesBuilder();
    for (const [i, network] of networks.entries()) builder.add(parseCidr(network)!, i + 1);
    return { file: undefined, shared: builder.build() };
  };
  return {
    access: {
      version: JSON.stringify([allow, deny]),
      allow: allow && [list(allow.networks)],
      deny: deny === undefined ? [] : [list(deny.networks)],
    },
  };
}
