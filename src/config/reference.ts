/**
 * The reference of the configuration for people: every key with what it takes, its default and what it means,
 * as Markdown. Made from the definition that checks the file; docs/CONFIGURATION.md is this text and a test
 * holds the two together.
 */
import { takesEffectKeyword } from './option-fields.ts';
import { jsonSchema } from './schema.ts';

interface Node {
  readonly type?: string;
  readonly enum?: readonly unknown[];
  readonly const?: unknown;
  readonly minimum?: number;
  readonly exclusiveMinimum?: number;
  readonly maximum?: number;
  readonly pattern?: string;
  readonly default?: unknown;
  readonly description?: string;
  readonly properties?: Readonly<Record<string, Node>>;
  readonly required?: readonly string[];
  readonly additionalProperties?: boolean | Node;
  readonly items?: Node;
  readonly anyOf?: readonly Node[];
  readonly [takesEffectKeyword]?: string;
}

const preface = `# Configuration

One YAML file. \`pinion check --config FILE\` says everything that is wrong with it, each with file:line:column;
unknown keys are refused. Durations are written with units (\`200ms\`, \`30s\`, \`1h30m\`, \`2d\`), sizes too (\`64KiB\`, \`4MiB\`); names are letters, digits
and \`. _ : [ ] -\`. [config/pinion.yaml](../config/pinion.yaml) is a commented example.

The YAML is that of version 1.2 with its core schema, without what a configuration has no use for: keys with \`?\` or of several
lines, tags but \`!!str\` and the like, merge keys, directives, a second document. A file has at most 4 MiB, a text 64 KiB, a
map 8,192 keys, all of it 500,000 keys and values (aliases followed) in 64 levels. The first 100 problems are told, and how many more
there are.

A backend that is a listener of the same file is refused if its pool leads back (loopback, \`localhost\` and what /etc/hosts says count
as this machine; no name server is asked), and warned of if it leads on to servers: all clients of that second listener then come
from this machine, so one of them is one client to its affinity and limits.

\`a change\` says when a change of a key takes effect: \`at once\` with the reload (new connections, or those that are open where its meaning says
so), at the \`next bind\` of its socket (another address, or a restart), or with a \`restart\`. \`pinion reload\` names what waits for one.

This page is printed by \`pinion schema --markdown\`.
`;

/** The text of docs/CONFIGURATION.md. */
export function reference(): string {
  const rows: string[] = [];
  walk(jsonSchema() as Node, '', 'at once', rows);
  // Alternatives of one map share keys.
  const table = [...new Set(rows)].join('\n');
  return `${preface}\n| key | takes | default | a change | meaning |\n|---|---|---|---|---|\n${table}\n`;
}

/** One row for each key below `node`, then those below them; `[]` stands for each of a list, `*` for each name. */
function walk(node: Node, path: string, effect: string, rows: string[]): void {
  for (const branch of node.anyOf ?? [node]) {
    if (branch.items !== undefined) walk(branch.items, `${path}[]`, effect, rows);
    if (typeof branch.additionalProperties === 'object') {
      walk(branch.additionalProperties, path === '' ? '*' : `${path}.*`, effect, rows);
    }
    for (const [key, value] of Object.entries(branch.properties ?? {})) {
      const at = path === '' ? key : `${path}.${key}`;
      const own = value[takesEffectKeyword] ?? effect;
      rows.push(row(at, value, branch.required?.includes(key) === true, own));
      walk(value, at, own, rows);
    }
  }
}

function row(path: string, node: Node, required: boolean, effect: string): string {
  const fallback = required ? 'required' : node.default === undefined ? '' : `\`${String(node.default)}\``;
  const cells = [`\`${path}\``, takes(node), fallback, effect, node.description ?? ''];
  return `| ${cells.map((cell) => cell.replaceAll('|', '\\|')).join(' | ')} |`;
}

function takes(node: Node): string {
  if (node.anyOf !== undefined) return [...new Set(node.anyOf.map(takes))].join(' or ');
  if (node.enum !== undefined) return node.enum.map((value) => `\`${String(value)}\``).join(', ');
  if (node.const !== undefined) return `\`${String(node.const)}\``;
  if (node.type === 'array') return 'list';
  if (node.type === 'object' || node.properties !== undefined) return 'map';
  if (node.type === 'boolean') return '`true`, `false`';
  if (node.type === 'integer' || node.type === 'number') {
    const from = node.minimum ?? `above ${node.exclusiveMinimum}`;
    return `${from} to ${node.maximum}`;
  }
  if (node.pattern?.includes('KiB') === true) return 'size';
  if (node.pattern?.includes('ms') === true) return 'duration';
  return 'text';
}
