/**
 * The shape of `health`: what every check has, and for each dialect what it has of its own, as the dialect declares it
 * (checks/dialects.ts).
 */
import { dialectOf, dialects } from '../checks/dialects.ts';
import {
  as,
  built,
  choice,
  duration,
  type OptionsOf,
  own,
  planOf,
  valuesOf,
  whole,
} from '../core/options.ts';
import type { HealthPlan, Protocol } from '../core/plan.ts';
import { readIp } from './bind.ts';
import { section } from './fields.ts';
import { fieldsOf } from './option-fields.ts';
import * as z from './zod.ts';

const second = 1_000;
const intervalMs = 2 * second;

type CommonPlan = Omit<HealthPlan, 'type' | 'options' | 'sources' | 'proxyVersion' | 'proxyOver'>;

/** What every check has. */
export const healthOptions = {
  intervalMs: as(
    'interval',
    duration('From one check of a backend to the next (a tenth more or less).', intervalMs, { minMs: 10 }),
  ),
  fastIntervalMs: as(
    'fast_interval',
    built(
      duration(
        'The same while checks contradict what the backend was. Default: a quarter of the interval.',
        undefined,
        { minMs: 10 },
      ),
      (written, { siblings: { interval = intervalMs } }) =>
        Math.min(interval as number, written ?? Math.ceil((interval as number) / 4)),
    ),
  ),
  timeoutMs: as(
    'timeout',
    built(
      duration(
        'A check without an answer by then has failed. At most the interval, which is the default where it is shorter.',
        second,
      ),
      (written, { siblings: { interval = intervalMs } }) => written ?? Math.min(second, interval as number),
    ),
  ),
  fall: whole(
    'Failed checks in a row until a backend is down; the first check of all decides alone.',
    1,
    1_000,
    3,
  ),
  rise: whole('Passed checks in a row until it is up again.', 1, 1_000, 2),
  port: whole("Another port to check than the backend's own.", 1, 65_535),
  address: own("Another IP address to check than the backend's own.", readIp, { type: 'string' }),
  start: choice(
    'What a backend is until its first check has said something. A start and a reload wait up to 3 s for first checks.',
    ['down', 'up'],
    'down',
  ),
} satisfies OptionsOf<CommonPlan>;

const common = fieldsOf(healthOptions);

const plainTypes = ['tcp', 'none'] as const;
const names = Object.keys(dialects).filter((name) => !(plainTypes as readonly string[]).includes(name));
const healthTypes: readonly string[] = [...plainTypes, ...names];

const meaning =
  'Checks: each backend is asked again and again, and what comes of it decides whether it is up or down.';
const plain = section(meaning, {
  type: z
    .enum(plainTypes)
    .meta({
      description:
        'tcp: a connection can be made; none: always up. Default tcp, none for pools that only serve UDP.',
    })
    .optional(),
  ...common,
});

/** One section for each type, told apart by `type`. */
export const healthShape = z
  .discriminatedUnion('type', [plain, ...names.map(shapeOf)] as unknown as [typeof plain], {
    error: (issue) =>
      issue.code === 'invalid_union'
        ? `must be one of ${healthTypes.join(', ')}`
        : 'must be a map of keys and values',
  })
  .meta({ description: meaning });

export type HealthShape = z.output<typeof plain>;

function shapeOf(name: string) {
  const { meaning, options } = dialectOf(name)!;
  return section(`${name}: ${meaning}.`, {
    type: z.literal(name).meta({ description: `${name}: ${meaning}.` }),
    ...common,
    ...fieldsOf(options),
  });
}

/** The plan of a check, with every default. */
export function buildHealth(health: HealthShape | undefined, usedBy: readonly Protocol[]): HealthPlan {
  const type = health?.type ?? typeDefault(usedBy);
  return {
    type,
    ...planOf<CommonPlan>(healthOptions, health ?? {}),
    options: valuesOf(dialectOf(type)?.options ?? {}, (health ?? {}) as Readonly<Record<string, unknown>>),
  };
}

/** A TCP probe says nothing about a server that speaks only UDP, so such a pool has no probe unless it asks for one. */
function typeDefault(usedBy: readonly Protocol[]): HealthPlan['type'] {
  return usedBy.length > 0 && usedBy.every((protocol) => protocol === 'udp') ? 'none' : 'tcp';
}

/** What is wrong with a check's own options, together. */
export function healthProblem(
  health: Partial<HealthShape>,
): { readonly key: string; readonly message: string } | undefined {
  const dialect = health.type === undefined ? undefined : dialectOf(health.type);
  return dialect?.problem?.(valuesOf(dialect.options, health as Readonly<Record<string, unknown>>));
}
