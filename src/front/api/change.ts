/** What of the API changes something: orders to backends, reload, ends of flows, pins. With `dry_run` each says what it would do. */
import { z } from 'zod';
import { killOverMsMax } from '../../core/kill-order.ts';
import { listedMax } from '../../core/limits.ts';
import { operatorWeightMax } from '../../core/operator-word.ts';
import type { Answer } from '../answer.ts';
import { whyNotMeant } from '../kill.ts';
import { type OperatorWord, operatorWords } from '../operator.ts';
import type { ApiSource } from './api.ts';
import { asBefore } from './look.ts';
import { flag, name, type Operation, operation, refused } from './operation.ts';
import { preview } from './preview.ts';
import * as shapes from './shapes.ts';

const everywhere = flag.describe('On all instances of the cluster.');
const dryRun = flag.describe('Say what would happen, and do nothing.');
const all = flag.describe('Where nothing else says which are meant: all of them.');

export function changeOperations(source: ApiSource): Operation[] {
  return [
    ...(['drain', 'undrain', 'maintenance', 'weight'] as const).map((word) => backendOperation(source, word)),
    reloadOperation(source),
    flowOperation(source),
    ...pinOperations(source),
  ];
}

const summaries = {
  drain: 'No new clients for a backend; flows stay, and pinned clients unless pinned=move.',
  undrain: 'The end of a drain or of maintenance.',
  maintenance: 'Take a backend out: it is down, and on_down says what becomes of its flows.',
  weight: 'Give a backend another weight.',
} as const;

const operatedShape = z
  .object({
    pool: z.string(),
    backend: z.string(),
    state: z.enum(['ready', 'drain', 'maintenance']),
    weight: z.number().nullable(),
    movesPinned: z.boolean(),
    everywhere: z.boolean(),
    kept: z.enum(['until-stop', 'in-redis', 'in-redis-later']),
  })
  .meta({ id: 'Operated' });

function backendOperation({ older, overview }: ApiSource, word: OperatorWord): Operation {
  const own = {
    drain: { pinned: z.enum(['stay', 'move']).optional() },
    undrain: {},
    maintenance: {},
    weight: { to: z.string().describe(`0 to ${operatorWeightMax}, or configured.`) },
  }[word];
  const force = flag.describe('Although nobody else of its pool takes new clients.');
  const query: z.ZodObject = z.object({
    ...own,
    everywhere,
    ...(word === 'undrain' ? {} : { force }),
    dry_run: dryRun,
  });
  return operation({
    method: 'POST',
    path: `/v1/backends/:pool/:backend/${word}`,
    tag: 'backends',
    summary: summaries[word],
    query,
    answer: z.union([operatedShape, shapes.previewShape]),
    handle: async ({ params, query: asked }) => {
      const words = wordsOf(asked, ['pinned', 'to'], ['everywhere', 'force']);
      const order = operatorWords[word](words);
      if ('refused' in order) return refused(order.refused);
      if (asked.dry_run !== true)
        return older[`POST /pools/:pool/backends/:backend/${word}`]!({ params, query: words });
      const { pool = '', backend = '' } = params;
      const { state, pins } = await overview.parts();
      const seen = preview(state, overview.views, pins, {
        pool,
        backend,
        word,
        order,
        isForced: asked.force === true,
      });
      if (seen !== undefined) return { status: 200, body: seen };
      const known = state.backends.map((one) => `${one.pool}/${one.backend}`);
      return refused(`no backend ${pool}/${backend}; there are: ${known.join(', ')}`, 404);
    },
  });
}

/** As the pages there were before are asked: flags stand without a value. */
function wordsOf(
  asked: Readonly<Record<string, unknown>>,
  texts: readonly string[],
  flags: readonly string[],
): URLSearchParams {
  const words = new URLSearchParams();
  for (const key of texts) if (typeof asked[key] === 'string') words.set(key, asked[key]);
  for (const key of flags) if (asked[key] === true) words.set(key, '');
  return words;
}

const reloadedShape = z
  .object({ digest: z.string(), warnings: z.array(z.string()), needRestart: z.array(z.string()) })
  .meta({ id: 'Reloaded' });

function reloadOperation({ outside }: ApiSource): Operation {
  return operation({
    method: 'POST',
    path: '/v1/reload',
    tag: 'instance',
    summary: 'Read the configuration again; one that is refused (422) changes nothing.',
    query: z.object({ dry_run: dryRun }),
    answer: z.union([reloadedShape, shapes.reloadPreviewShape]),
    handle: ({ query }) => outside.order(query.dry_run ? { kind: 'preview-reload' } : { kind: 'reload' }),
  });
}

const endedShape = z
  .object({
    connections: z.number().describe('Flows that end, or would.'),
    overMs: z.number().optional(),
    dryRun: z.boolean().optional(),
    isPartial: z
      .boolean()
      .optional()
      .describe('Of dry_run: more are open than were looked at, and may end, too.'),
    others: z.enum(['told', 'not-told']).optional(),
  })
  .meta({ id: 'Ended' });

function flowOperation({ older, outside, lookUp }: ApiSource): Operation {
  return operation({
    method: 'DELETE',
    path: '/v1/flows',
    tag: 'flows',
    summary: 'End open flows: of a listener, pool, backend or client (one flow: the client with its port).',
    query: z.object({
      listener: name,
      pool: name,
      backend: name,
      client: name,
      all,
      over_ms: name.describe(`Evenly over so long, at most ${killOverMsMax}; else as each pool says.`),
      everywhere,
      dry_run: dryRun,
    }),
    answer: endedShape,
    handle: async ({ query }) => {
      const { listener, pool, backend, client } = query;
      const filter = { listener, pool, backend, client };
      if (query.dry_run) {
        const said = Object.fromEntries(Object.entries(filter).filter(([, value]) => value !== undefined));
        const unmeant = await whyNotMeant(outside, said, query.all);
        if (unmeant !== undefined) return unmeant;
        const answer = await lookUp('GET /v1/flows', filter);
        if (answer.status !== 200) return answer;
        const { matching, isPartial } = answer.body as shapes.FlowsPage;
        return {
          status: 200,
          body: { dryRun: true, connections: matching, ...(isPartial ? { isPartial } : {}) },
        };
      }
      return asBefore(older['POST /connections/kill'], {
        ...filter,
        'over-ms': query.over_ms,
        all: query.all ? '1' : undefined,
        everywhere: query.everywhere ? '' : undefined,
      });
    },
  });
}

function pinOperations({ older, lookUp }: ApiSource): Operation[] {
  const filter = { pool: name, backend: name, client: name, all };
  /** How many are meant. */
  const count = async (query: Readonly<Record<string, unknown>>): Promise<Answer> => {
    const { pool, backend, client } = query as Record<string, string | undefined>;
    const answer = await lookUp('GET /v1/pins', { pool, backend, client, limit: `${listedMax}` });
    if (answer.status !== 200) return answer;
    const { pins } = answer.body as { pins: readonly unknown[] };
    return { status: 200, body: { dryRun: true, pins: pins.length, isPartial: pins.length >= listedMax } };
  };
  const counted = z.object({ dryRun: z.literal(true), pins: z.number(), isPartial: z.boolean() });
  return [
    operation({
      method: 'POST',
      path: '/v1/pins/set',
      tag: 'pins',
      summary: 'Pin a client of a listener to a backend.',
      query: z.object({ listener: z.string(), client: z.string(), backend: z.string(), pool: name }),
      answer: z.looseObject({ pool: z.string(), key: z.string(), backend: z.string(), outcome: z.string() }),
      handle: ({ query }) => asBefore(older['POST /pins/set'], query),
    }),
    operation({
      method: 'POST',
      path: '/v1/pins/move',
      tag: 'pins',
      summary:
        'Move pins to another backend of their pool; with now their clients are disconnected, and come back there.',
      query: z.object({ ...filter, to: z.string(), now: flag, everywhere, dry_run: dryRun }),
      answer: z.union([z.looseObject({ moved: z.number() }), counted]),
      handle: ({ query }) =>
        query.dry_run
          ? count(query)
          : asBefore(older['POST /pins/move'], {
              ...pinFilter(query),
              to: query.to,
              now: query.now ? '' : undefined,
              everywhere: query.everywhere ? '' : undefined,
            }),
    }),
    operation({
      method: 'POST',
      path: '/v1/pins/delete',
      tag: 'pins',
      summary: 'Forget pins.',
      query: z.object({ ...filter, dry_run: dryRun }),
      answer: z.union([z.object({ deleted: z.number() }), counted]),
      handle: ({ query }) =>
        query.dry_run ? count(query) : asBefore(older['POST /pins/delete'], pinFilter(query)),
    }),
  ];
}

function pinFilter({
  pool,
  backend,
  client,
  all: isAll,
}: {
  readonly pool?: string | undefined;
  readonly backend?: string | undefined;
  readonly client?: string | undefined;
  readonly all: boolean;
}): Record<string, string | undefined> {
  return { pool, backend, client, all: isAll ? '1' : undefined };
}
