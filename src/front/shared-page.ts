/**
 * One rendering of a page for all who ask while it is made and shortly after, held in one buffer whatever the number of
 * its readers: it costs the same whether one monitor asks or a thousand strangers do. Renderings of one route are made
 * one after the other with rests between them, so that one that takes long leaves most of the thread's time to others.
 *
 * It does not promise a page younger than the rendering takes: who asks while one is under way gets that one.
 */
import { pageFreshMsMax, pageRestPerRenderTime, sharedPagesMax } from '../core/limits.ts';
import { type Answer, type EncodedAnswer, encode, type RouteRequest } from './answer.ts';

interface Rendering {
  readonly outcome: { readonly answer: EncodedAnswer } | { readonly error: unknown };
  /** Until the route's next one may begin. */
  readonly restMs: number;
}

export interface SharedPage<Asked = RouteRequest> {
  (request: Asked): Promise<Answer>;
  /** After a change: whoever asks from now on gets a page that was begun after it. */
  forget(): void;
}

/**
 * @param freshMs for how long at least after it was made a page is given to others; failures and refusals are not kept
 * @param keyOf what `render` reads of the request, as text; by default nothing, so whatever the query is, the page is one
 */
export function freshFor<Asked = RouteRequest>(
  freshMs: number,
  render: (request: Asked) => Answer | Promise<Answer>,
  keyOf: (request: Asked) => string = () => '',
): SharedPage<Asked> {
  const pages = new Map<string, Promise<Rendering>>();
  let previous: Promise<void> | undefined;

  const renderAfter = async (turn: typeof previous, request: Asked): Promise<Rendering> => {
    await turn;
    const startMs = performance.now();
    let outcome: Rendering['outcome'];
    try {
      outcome = { answer: encode(await render(request)) };
    } catch (error) {
      outcome = { error };
    }
    const tookMs = performance.now() - startMs;
    return { outcome, restMs: Math.min(tookMs * pageRestPerRenderTime, pageFreshMsMax) };
  };
  const begin = (key: string, request: Asked): Promise<Rendering> => {
    const page = renderAfter(previous, request);
    const drop = (): void => {
      if (pages.get(key) === page) pages.delete(key);
    };
    previous = page.then(({ outcome, restMs }) => {
      if ('answer' in outcome && outcome.answer.status < 400) {
        setTimeout(drop, Math.max(freshMs, restMs)).unref();
      } else drop();
      return new Promise((resolve) => setTimeout(resolve, restMs).unref());
    });
    pages.set(key, page);
    if (pages.size > sharedPagesMax) pages.delete(pages.keys().next().value!);
    return page;
  };
  const ask = async (request: Asked): Promise<Answer> => {
    const key = keyOf(request);
    const { outcome } = await (pages.get(key) ?? begin(key, request));
    if ('error' in outcome) throw outcome.error;
    return outcome.answer;
  };
  return Object.assign(ask, { forget: () => pages.clear() });
}
