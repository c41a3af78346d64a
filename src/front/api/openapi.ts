/** The API's description, OpenAPI 3.1, made from the same records by which requests are read. */
import { z } from 'zod';
import type { Operation } from './operation.ts';
import { problemShape } from './shapes.ts';

type Json = Readonly<Record<string, unknown>>;

export function openApi(operations: readonly Operation[], version: string): Json {
  const schemas: Record<string, unknown> = {};
  const schemaOf = (shape: z.ZodType, io: 'input' | 'output'): Json => collect(shape, io, schemas);
  const paths: Record<string, Record<string, unknown>> = {};
  for (const one of operations) {
    const path = one.path.replace(/:(\w+)/g, '{$1}');
    paths[path] = { ...paths[path], [one.method.toLowerCase()]: describe(one, schemaOf) };
  }
  return {
    openapi: '3.1.0',
    info: {
      title: 'pinion admin API',
      version,
      description:
        'On admin.listen. On a unix socket whoever can open it may do everything; on TCP a token says what one may do (Authorization: Bearer), and without one an address of this machine may look.',
    },
    servers: [{ url: 'http://localhost:9465' }],
    security: [{}, { token: [] }],
    paths,
    components: { schemas, securitySchemes: { token: { type: 'http', scheme: 'bearer' } } },
  };
}

function describe(
  { method, path, summary, tag, query, answer, contentType = 'application/json' }: Operation,
  schemaOf: (shape: z.ZodType, io: 'input' | 'output') => Json,
): Json {
  const inPath = [...path.matchAll(/:(\w+)/g)].map(([, name]) => ({
    name,
    in: 'path',
    required: true,
    schema: { type: 'string' },
  }));
  const inQuery = Object.entries(query.shape).map(([name, shape]) => {
    const { description, ...schema } = schemaOf(shape as z.ZodType, 'input');
    const required = !(shape as z.ZodType).safeParse(undefined).success;
    return { name, in: 'query', required, ...(description === undefined ? {} : { description }), schema };
  });
  const problem = {
    description: 'It was refused: error says why.',
    content: { 'application/json': { schema: schemaOf(problemShape, 'output') } },
  };
  return {
    operationId: `${method.toLowerCase()}${path.replace(/\/v1|:/g, '').replace(/\/(\w)/g, (_, letter) => letter.toUpperCase())}`,
    summary,
    tags: [tag],
    parameters: [...inPath, ...inQuery],
    responses: {
      200: { description: 'Done.', content: { [contentType]: { schema: schemaOf(answer, 'output') } } },
      default: problem,
    },
  };
}

/** Named shapes go to `schemas`, once, and are referred to. */
function collect(shape: z.ZodType, io: 'input' | 'output', schemas: Record<string, unknown>): Json {
  const whole = z.toJSONSchema(shape, { io, unrepresentable: 'any' }) as Record<string, unknown>;
  const { $schema: _, $defs = {}, ...own } = whole;
  for (const [name, schema] of Object.entries($defs as Json)) schemas[name] ??= relocated(schema);
  const { id } = own;
  const schema = relocated(own) as Json;
  if (typeof id !== 'string') return schema;
  schemas[id] ??= schema;
  return { $ref: `#/components/schemas/${id}` };
}

function relocated(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(relocated);
  if (typeof value !== 'object' || value === null) return value;
  const entries = Object.entries(value).filter(
    ([key]) => key !== 'id' || typeof (value as Json).type !== 'string',
  );
  return Object.fromEntries(
    entries.map(([key, inner]) => [
      key,
      key === '$ref' && typeof inner === 'string'
        ? inner.replace('#/$defs/', '#/components/schemas/')
        : relocated(inner),
    ]),
  );
}
