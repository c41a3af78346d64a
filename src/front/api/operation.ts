/**
 * One thing the API does: where, with which parameters, what it answers, and who does it. Requests are read, and the description
 * (openapi.ts) is made, from the same record.
 */
import { z } from 'zod';
import type { Access, Answer, RouteRequest, StreamedAnswer, StreamHandle } from '../answer.ts';

export interface Operation<Query extends z.ZodObject = z.ZodObject> {
  readonly method: 'GET' | 'POST' | 'DELETE';
  /** `/v1/backends/:pool/:backend` */
  readonly path: string;
  readonly summary: string;
  /** Of the description: status, backends, flows, pins, events, instance. */
  readonly tag: string;
  readonly query: Query;
  readonly answer: z.ZodType;
  /** Default: JSON. */
  readonly contentType?: string;
  readonly handle: (request: Asked<Query>) => Answer | StreamedAnswer | Promise<Answer | StreamedAnswer>;
}

export interface Asked<Query extends z.ZodObject> {
  readonly params: Readonly<Record<string, string>>;
  readonly query: z.output<Query>;
  readonly access: Access;
  readonly accessNow: () => Access | 'wrong-token';
  readonly lastEventId: string | undefined;
}

/** Only for its types. */
export function operation<Query extends z.ZodObject>(one: Operation<Query>): Operation {
  return one as unknown as Operation;
}

/** True where it stands without a value, or with `true`. */
export const flag = z
  .enum(['', 'true', 'false'])
  .optional()
  .transform((text) => text !== undefined && text !== 'false');

export const name = z.string().min(1).max(255).optional();

/** How many at most: 1 to `max`. */
export function limitOf(max: number, unlessTold: number) {
  return z
    .string()
    .regex(/^\d{1,6}$/, `a whole number from 1 to ${max}`)
    .transform(Number)
    .refine((number) => number >= 1 && number <= max, `a whole number from 1 to ${max}`)
    .optional()
    .transform((number) => number ?? unlessTold);
}

/** Reads the parameters; a word that is not known is refused: `dryrun` must not carry an order out. */
export function handleOf({ method, path, query, handle }: Operation): StreamHandle {
  const strict = query.strict();
  const known = Object.keys(query.shape);
  return (request: RouteRequest) => {
    const given: Record<string, string> = {};
    for (const [key, value] of request.query) {
      if (Object.hasOwn(given, key)) return refused(`${key}: give it once`);
      if (!known.includes(key)) return refused(unknown(`${method} ${path}`, key, known));
      given[key] = value;
    }
    const read = strict.safeParse(given);
    if (!read.success) {
      const [issue] = read.error.issues;
      return refused(`${issue?.path.join('.') ?? ''}: ${issue?.message ?? 'is wrong'}`);
    }
    const { access = 'write' } = request;
    return handle({
      params: request.params,
      query: read.data,
      access,
      accessNow: request.accessNow ?? (() => access),
      lastEventId: request.lastEventId,
    });
  };
}

function unknown(where: string, key: string, known: readonly string[]): string {
  const these = known.length === 0 ? 'it takes none' : `there are: ${known.join(', ')}`;
  return `${where} has no parameter ${key.slice(0, 64)}; ${these}`;
}

/** As the text of a query; what is undefined is left out. */
export function searchOf(query: Readonly<Record<string, string | undefined>>): URLSearchParams {
  const search = new URLSearchParams();
  for (const [key, value] of Object.entries(query)) if (value !== undefined) search.set(key, value);
  return search;
}

export function refused(error: string, status = 400): Answer {
  return { status, body: { error } };
}
