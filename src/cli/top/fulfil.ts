/** What `top` asks of the instance for a wish, and how the answer is told. */
import { formatAddress } from '../../core/address-text.ts';
import type { Bind } from '../../core/plan.ts';
import type { Preview, ReloadPreview } from '../../front/api/shapes.ts';
import type { Explanation } from '../../front/explain.ts';
import { askAdmin } from '../admin-client.ts';
import { type Method, refusalLines } from '../ask.ts';
import { type Obeyed, obeyedText } from '../change/backend.ts';
import { type Killed, killedText } from '../change/kill.ts';
import { type Reloaded, reloadedText, reloadPreviewLines } from '../change/reload.ts';
import { explanationLines } from '../explain.ts';
import { count } from '../screen/amounts.ts';
import type { Heard, Order, Wish } from './state.ts';

/** Asks, and tells a good answer by `tell`, any other as a refusal. */
export async function heardOf<Body>(
  bind: Bind,
  method: Method,
  path: string,
  tell: (body: Body) => Heard,
): Promise<Heard> {
  const answer = await askAdmin(bind, method, path);
  if (answer === undefined) return { kind: 'refused', text: `no pinion answers on ${formatAddress(bind)}` };
  if (answer.status >= 400) return { kind: 'refused', text: refusalLines(answer).join('; ') };
  return tell(answer.body as Body);
}

export function fulfil(bind: Bind, wish: Exclude<Wish, { kind: 'quit' | 'redraw' }>): Promise<Heard> {
  switch (wish.kind) {
    case 'preview':
      return heardOf<Preview>(
        bind,
        'POST',
        `/v1/backends/${pathOf(wish.order, { dry_run: 'true' })}`,
        (preview) => ({
          kind: 'preview',
          preview,
          order: wish.order,
        }),
      );
    case 'order':
      return heardOf<Obeyed>(bind, 'POST', `/v1/backends/${pathOf(wish.order, {})}`, (done) => ({
        kind: 'done',
        text: obeyedText(done),
      }));
    case 'explain': {
      const { listener, client } = wish;
      const query = new URLSearchParams({ listener, client });
      return heardOf<Explanation>(bind, 'GET', `/v1/explain?${query}`, (answer) => ({
        kind: 'told',
        title: `${client} on ${listener}`,
        lines: explanationLines(answer, 'a running instance'),
      }));
    }
    case 'move': {
      const { pool, backend, to } = wish;
      const query = new URLSearchParams({ pool, backend, to });
      return heardOf<{ readonly moved: number }>(bind, 'POST', `/v1/pins/move?${query}`, ({ moved }) => ({
        kind: 'done',
        text: `${count(moved)} pins moved to ${pool}/${to}`,
      }));
    }
    case 'end-flow': {
      const { listener, client } = wish;
      return heardOf<Killed>(
        bind,
        'DELETE',
        `/v1/flows?${new URLSearchParams({ listener, client })}`,
        (killed) => ({
          kind: 'done',
          text: killedText(killed),
        }),
      );
    }
    case 'preview-reload':
      return heardOf<ReloadPreview>(bind, 'POST', '/v1/reload?dry_run=true', (preview) => ({
        kind: 'told',
        title: preview.errors.length > 0 ? 'A reload would be refused' : 'Reload?',
        lines: reloadPreviewLines(preview),
        ...(preview.errors.length > 0 ? {} : { wish: { kind: 'reload' } as const }),
      }));
    case 'reload':
      return heardOf<Reloaded>(bind, 'POST', '/v1/reload', (done) => ({
        kind: 'done',
        text: reloadedText(done).trimEnd().replaceAll('\n', '; '),
      }));
  }
}

function pathOf({ word, pool, backend, to }: Order, query: Readonly<Record<string, string>>): string {
  const words = new URLSearchParams({ ...query, ...(to === undefined ? {} : { to }) });
  return `${encodeURIComponent(pool)}/${encodeURIComponent(backend)}/${word}?${words}`;
}
