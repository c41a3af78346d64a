/**
 * The shape of `health`: what every check has, and for each dialect what it has of its own, as the dialect declares it
 * (checks/dialects.ts).
 */
import * as z from 'zod';
import { dialectOf, dialects } from '../checks/dialects.ts';
import { valuesOf } from '../core/options.ts';
import type { HealthPlan, Protocol } from '../core/plan.ts';
import { readIp } from './bind.ts';
import { healthDefaults, healthTimeoutDefault, healthTypeDefault } from './defaults.ts';
import { choice, duration, readBy, section, whole } from './fields.ts';
import { fieldsOf } from './option-fields.ts';

const common = {
  interval: duration('From one check of a backend to the next (a tenth more or less).', {
    minMs: 10,
    defaultMs: healthDefaults.intervalMs,
  }),
  fast_interval: duration(
    'The same while checks contradict what the backend was. Default: a quarter of the interval.',
    { minMs: 10 },
  ),
  timeout: duration(
    'A check without an answer by then has failed. At most the interval, which is the default where it is shorter.',
    { defaultMs: healthDefaults.timeoutMs },
  ),
  fall: whole(
    'Failed checks in a row until a backend is down; the first check of all decides alone.',
    1,
    1_000,
    healthDefaults.fall,
  ),
  rise: whole('Passed checks in a row until it is up again.', 1, 1_000, healthDefaults.rise),
  port: whole("Another port to check than the backend's own.", 1, 65_535),
  address: readBy(readIp, "Another IP address to check than the backend's own.", {
    type: 'string',
  }).optional(),
  start: choice(
    'What a backend is until its first check has said something. A start and a reload wait up to 3 s for first checks.',
    ['down', 'up'],
    healthDefaults.start,
  ),
};

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
  const type = health?.type ?? healthTypeDefault(usedBy);
  const intervalMs = health?.interval ?? healthDefaults.intervalMs;
  return {
    type,
    intervalMs,
    fastIntervalMs: Math.min(intervalMs, health?.fast_interval ?? Math.ceil(intervalMs / 4)),
    timeoutMs: health?.timeout ?? healthTimeoutDefault(intervalMs),
    fall: health?.fall ?? healthDefaults.fall,
    rise: health?.rise ?? healthDefaults.rise,
    port: health?.port,
    address: health?.address as string | undefined,
    start: health?.start ?? healthDefaults.start,
    options: valuesOf(dialectOf(type)?.options ?? {}, (health ?? {}) as Readonly<Record<string, unknown>>),
  };
}

/** What is wrong with a check's own options, together. */
export function healthProblem(
  health: Partial<HealthShape>,
): { readonly key: string; readonly message: string } | undefined {
  const dialect = health.type === undefined ? undefined : dialectOf(health.type);
  return dialect?.problem?.(valuesOf(dialect.options, health as Readonly<Record<string, unknown>>));
}
