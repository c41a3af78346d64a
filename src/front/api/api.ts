/** The admin API (`/v1/...`): its operations as routes, over what the pages there were before do already. */
import type { SharedViews } from '../../rooms/shared.ts';
import { type AllRoutes, type Answer, encode, type Routes } from '../answer.ts';
import type { Outside } from '../outside.ts';
import type { Turns } from '../turns.ts';
import { changeOperations } from './change.ts';
import type { EventLog } from './events.ts';
import { lookOperations } from './look.ts';
import { handleOf, type Operation, searchOf } from './operation.ts';
import type { Overview } from './overview.ts';
import type { StreamHub } from './stream.ts';

export interface ApiParts {
  readonly outside: Outside;
  readonly turns: Turns;
  readonly views: SharedViews;
  readonly overview: Overview;
  readonly events: EventLog;
  readonly hub: StreamHub;
  /** The pages without a version. */
  readonly older: Routes;
}

export interface ApiSource extends ApiParts {
  /** Asks one of the API's own pages, as a preview does. */
  readonly lookUp: (
    page: 'GET /v1/flows' | 'GET /v1/pins',
    query: Readonly<Record<string, string | undefined>>,
  ) => Promise<Answer>;
}

export function apiOperations(parts: ApiParts): Operation[] {
  const looks = new Map<string, Operation>();
  const lookUp: ApiSource['lookUp'] = async (page, query) => {
    return (await handleOf(looks.get(page)!)({ params: {}, query: searchOf(query) })) as Answer;
  };
  const source = { ...parts, lookUp };
  const operations = [...lookOperations(source), ...changeOperations(source)];
  for (const one of operations) looks.set(`${one.method} ${one.path}`, one);
  return operations;
}

/** With the description of all of them at `/openapi.json`, made when it is asked for. */
export function apiRoutes(parts: ApiParts, version: string): AllRoutes {
  const operations = apiOperations(parts);
  let description: Answer | undefined;
  return {
    ...Object.fromEntries(operations.map((one) => [`${one.method} ${one.path}`, handleOf(one)])),
    'GET /openapi.json': async () => {
      const { openApi } = await import('./openapi.ts');
      description ??= encode({ status: 200, body: openApi(operations, version) });
      return description;
    },
  };
}
