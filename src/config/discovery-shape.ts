/** The shape of `discovery`: for each source what it has of its own, as the source declares it (control/discovery/sources.ts). */
import { sourceOf, sources } from '../control/discovery/sources.ts';
import { valuesOf } from '../core/options.ts';
import type { DiscoveryPlan } from '../core/plan.ts';
import { section } from './fields.ts';
import { fieldsOf } from './option-fields.ts';
import * as z from './zod.ts';

const names = Object.keys(sources);
const meaning =
  'Where more backends of this pool are found, while it runs. A change is treated as a reload with another list would be.';

export interface DiscoveryShape {
  readonly type: string;
}

/** One section for each source, told apart by `type`. */
export const discoveryShape = z
  .discriminatedUnion('type', names.map(shapeOf) as unknown as [ReturnType<typeof shapeOf>], {
    error: (issue) =>
      issue.code === 'invalid_union'
        ? `must be ${names.length === 1 ? '' : 'one of '}${names.join(', ')}`
        : 'must be a map of keys and values',
  })
  .meta({ description: meaning });

function shapeOf(name: string) {
  const { meaning, options } = sourceOf(name)!;
  return section(`${name}: ${meaning}.`, {
    type: z.literal(name).meta({ description: `${name}: ${meaning}.` }),
    ...fieldsOf(options),
  });
}

/** Undefined: the pool has only the backends of the file. */
export function buildDiscovery(discovery: DiscoveryShape | undefined): DiscoveryPlan | undefined {
  if (discovery === undefined) return undefined;
  const { type } = discovery;
  return { type, options: valuesOf(sourceOf(type)?.options ?? {}, { ...discovery }) };
}

/** What is wrong with a source's own options, together. */
export function discoveryProblem(
  discovery: Partial<DiscoveryShape>,
): { readonly key: string; readonly message: string } | undefined {
  const kind = discovery.type === undefined ? undefined : sourceOf(discovery.type);
  return kind?.problem?.(valuesOf(kind.options, { ...discovery }));
}
