/** docs/openapi.json is what the API says of itself; PINION_GOLDEN=write writes it. */
import { readFileSync, writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { expect, test } from 'vitest';
import { type ApiParts, apiOperations } from './api.ts';
import { openApi } from './openapi.ts';

const file = fileURLToPath(new URL('../../../docs/openapi.json', import.meta.url));
// Nothing is asked: what the operations are made over is used by their handlers alone.
const description = openApi(apiOperations({ older: {} } as unknown as ApiParts), '1');
const text = `${JSON.stringify(description, null, 2)}\n`;

test('docs/openapi.json is up to date', () => {
  if (process.env.PINION_GOLDEN === 'write') writeFileSync(file, text);
  expect(readFileSync(file, 'utf8')).toBe(text);
});

test('every reference leads somewhere, and every operation has a name of its own', () => {
  const { paths, components } = description as {
    paths: Record<string, Record<string, { operationId: string }>>;
    components: { schemas: Record<string, object> };
  };
  const references = [...text.matchAll(/"\$ref": "([^"]+)"/g)].map(([, to]) => to!);
  expect(references.length).toBeGreaterThan(20);
  const known = Object.keys(components.schemas).map((name) => `#/components/schemas/${name}`);
  expect(references.filter((to) => !known.includes(to))).toEqual([]);
  const names = Object.values(paths).flatMap((path) =>
    Object.values(path).map(({ operationId }) => operationId),
  );
  expect(new Set(names).size).toBe(names.length);
});
