import { readdirSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';
import { parse } from 'yaml';
import { parsePlan } from './load.ts';
import { takesEffectKeyword } from './option-fields.ts';
import { jsonSchema, keysAt } from './schema.ts';
import { instanceLimits } from './shape.ts';

interface Schema {
  readonly [keyword: string]: unknown;
  readonly properties?: Record<string, Schema>;
  readonly additionalProperties?: boolean | Schema;
  readonly items?: Schema;
  readonly anyOf?: Schema[];
  readonly required?: string[];
}

/** Just enough of JSON Schema's validation for the keywords our schema uses; an unknown one fails the test. */
function faultsOf(value: unknown, schema: Schema, path: string): string[] {
  const faults: string[] = [];
  const check = (ok: boolean, keyword: string): unknown => ok || faults.push(`${path}: ${keyword}`);
  for (const [keyword, rule] of Object.entries(schema)) {
    if (
      [
        'description',
        'default',
        'title',
        '$schema',
        'properties',
        'propertyNames',
        takesEffectKeyword,
      ].includes(keyword)
    )
      continue;
    if (keyword === 'type')
      check(typeOf(value) === rule || (rule === 'number' && typeof value === 'number'), keyword);
    else if (keyword === 'enum') check((rule as unknown[]).includes(value), keyword);
    else if (keyword === 'const') check(value === rule, keyword);
    else if (keyword === 'pattern')
      check(typeof value === 'string' && new RegExp(rule as string).test(value), keyword);
    else if (keyword === 'minimum') check((value as number) >= (rule as number), keyword);
    else if (keyword === 'exclusiveMinimum') check((value as number) > (rule as number), keyword);
    else if (keyword === 'maximum') check((value as number) <= (rule as number), keyword);
    else if (keyword === 'minItems') check((value as unknown[]).length >= (rule as number), keyword);
    else if (keyword === 'maxItems') check((value as unknown[]).length <= (rule as number), keyword);
    else if (keyword === 'required')
      for (const key of rule as string[]) check(Object.hasOwn(value as object, key), `required ${key}`);
    else if (keyword === 'anyOf')
      check(
        (rule as Schema[]).some((one) => faultsOf(value, one, path).length === 0),
        keyword,
      );
    else if (keyword === 'items')
      for (const [i, item] of Array.isArray(value) ? value.entries() : [])
        faults.push(...faultsOf(item, rule as Schema, `${path}[${i}]`));
    else if (keyword === 'additionalProperties') {
      for (const [key, inner] of Object.entries(value as object)) {
        const known = schema.properties?.[key] ?? (typeof rule === 'object' ? (rule as Schema) : undefined);
        if (known === undefined) faults.push(`${path}: unknown ${key}`);
        else faults.push(...faultsOf(inner, known, `${path}.${key}`));
      }
    } else throw new Error(`the schema uses ${keyword}, which this test does not know`);
  }
  return faults;
}

function typeOf(value: unknown): string {
  if (Array.isArray(value)) return 'array';
  return Number.isInteger(value) ? 'integer' : typeof value;
}

function keySchemas(schema: Schema, path: string): [string, Schema][] {
  const inner = Object.entries(schema.properties ?? {}).flatMap(([key, one]): [string, Schema][] => [
    [`${path}.${key}`, one],
    ...keySchemas(one, `${path}.${key}`),
  ]);
  const others = [schema.items, schema.additionalProperties, ...(schema.anyOf ?? [])];
  return [
    ...inner,
    ...others.flatMap((one) => (typeof one === 'object' ? keySchemas(one, `${path}.*`) : [])),
  ];
}

const schema = jsonSchema() as Schema;
const folders = ['../../config/', 'golden/'].map((name) => fileURLToPath(new URL(name, import.meta.url)));
const files = folders.flatMap((folder) =>
  readdirSync(folder)
    .filter((name) => /\.(yaml|golden)$/.test(name))
    .map((name): [string, string] => [name, readFileSync(folder + name, 'utf8').split('---8<---')[0]!]),
);
const goodFiles = files.filter(([name, text]) => 'plan' in parsePlan(text, name));

describe('the JSON Schema', () => {
  it('is draft 2020-12 and plain JSON', () => {
    expect(schema.$schema).toBe('https://json-schema.org/draft/2020-12/schema');
    expect(JSON.parse(JSON.stringify(schema))).toEqual(schema);
  });

  it('describes every key', () => {
    const keys = keySchemas(schema, '');
    expect(keys.length).toBeGreaterThan(60);
    expect(keys.filter(([, one]) => typeof one.description !== 'string').map(([path]) => path)).toEqual([]);
  });

  it('shows the defaults there are', () => {
    const defaults = Object.fromEntries(keySchemas(schema, '').map(([path, one]) => [path, one.default]));
    expect(defaults['.limits.flows']).toBe(instanceLimits.flows.fallback);
    expect(defaults['.shutdown.drain']).toBe('30s');
    expect(defaults['.listeners.*.tcp.no_delay']).toBe(true);
  });

  it('there are files to hold against it', () => expect(goodFiles.length).toBeGreaterThanOrEqual(5));

  it.each(goodFiles)('accepts %s', (_, text) => expect(faultsOf(parse(text), schema, '')).toEqual([]));

  it('refuses what the check refuses', () => {
    const file = parse(goodFiles[0]![1]);
    expect(faultsOf({ ...file, engin: 'auto' }, schema, '')).toEqual([': unknown engin']);
    expect(faultsOf({ ...file, workers: 0 }, schema, '')).toEqual(['.workers: anyOf']);
    expect(faultsOf({ ...file, shutdown: { drain: 30 } }, schema, '')).toEqual(['.shutdown.drain: anyOf']);
    expect(faultsOf({ ...file, listeners: [] }, schema, '')).toEqual(['.listeners: minItems']);
    expect(faultsOf({ listeners: file.listeners }, schema, '')).toEqual([': required pools']);
  });

  it('knows the keys at a path', () => {
    expect(keysAt(['listeners', 3, 'affinity'])).toContain('claim_timeout');
    expect(keysAt(['pools', 'any', 'on_address_change'])).toEqual(['grace']);
    expect(keysAt(['pools'])).toEqual([]);
  });
});
