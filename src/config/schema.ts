/**
 * The JSON Schema of the file, for editors: completion, help on hover, red lines. Made from the definition that
 * checks the file, so the two agree. It cannot say what needs more than one key (unknown pools, duplicate names);
 * `pinion check` does.
 */
import type { Path } from './problem.ts';
import { fileShape } from './shape.ts';
import * as z from './zod.ts';

/** The parts of a JSON Schema that the file's schema uses. */
interface SchemaNode {
  readonly properties?: Readonly<Record<string, SchemaNode>>;
  readonly additionalProperties?: boolean | SchemaNode;
  readonly items?: SchemaNode;
  readonly anyOf?: readonly SchemaNode[];
}

let made: SchemaNode | undefined;

/** JSON Schema, draft 2020-12, of a file as a user writes it; a description on every key. A new object each time. */
export function jsonSchema(): object {
  const schema = z.toJSONSchema(fileShape, {
    target: 'draft-2020-12',
    io: 'input',
    // The library drops the default of what is read by a function, as it may be in the form after reading. Ours are
    // in the form before.
    override: ({ zodSchema, jsonSchema: node }) => {
      const fallback = z.globalRegistry.get(zodSchema)?.default;
      if (fallback !== undefined) node.default = fallback as never;
      // Told apart by a key: exactly one fits anyway, and one word for alternatives is enough for whoever reads this.
      if (node.oneOf !== undefined) {
        node.anyOf = node.oneOf;
        delete node.oneOf;
      }
    },
  });
  return { title: 'pinion configuration', ...schema };
}

/** The keys that may stand in the map at `path`; none if it is no map with fixed keys. */
export function keysAt(path: Path): readonly string[] {
  return Object.keys(propertiesAt(path));
}

/** Keys one level below the map at `path`, as `section.key`: for a key that was written one level too high. */
export function keysBelow(path: Path): readonly string[] {
  return keysAt(path).flatMap((key) => keysAt([...path, key]).map((below) => `${key}.${below}`));
}

function propertiesAt(path: Path): Readonly<Record<string, SchemaNode>> {
  made ??= jsonSchema() as SchemaNode;
  let nodes: SchemaNode[] = [made];
  for (const step of path) nodes = nodes.flatMap((node) => below(node, step));
  return Object.assign({}, ...nodes.flatMap(branches).map((node) => node.properties ?? {}));
}

function below(node: SchemaNode, step: string | number): SchemaNode[] {
  return branches(node).flatMap((branch) => {
    if (typeof step === 'number') return branch.items ?? [];
    const fixed = branch.properties?.[step];
    if (fixed !== undefined) return fixed;
    return typeof branch.additionalProperties === 'object' ? branch.additionalProperties : [];
  });
}

function branches(node: SchemaNode): SchemaNode[] {
  return [node, ...(node.anyOf ?? []).flatMap(branches)];
}
