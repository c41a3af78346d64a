/**
 * Which page a request is for, and what is refused before any page is asked.
 *
 * On TCP we ask nobody for a password, and a browser on this machine reaches us for any web page. So there only requests
 * are answered whose Host is this machine or an IP address (DNS rebinding: a page reaches us through a name it controls),
 * and nothing is changed for a page of another origin (which needs no such name to send a POST).
 */
import type { IncomingHttpHeaders, IncomingMessage } from 'node:http';
import { isIP } from 'node:net';
import { httpHeadersMax } from '../core/limits.ts';
import type { Answer, Handle, Routes } from './answer.ts';

interface Page {
  readonly method: string;
  readonly template: readonly string[];
  readonly handle: Handle;
}

export class Router {
  readonly #pages: readonly Page[];
  readonly #list: string;

  constructor(routes: Routes) {
    this.#list = Object.keys(routes).join(', ');
    this.#pages = Object.entries(routes).map(([pattern, handle]) => {
      const [method = '', path = ''] = pattern.split(' ');
      return { method, template: path.split('/').slice(1), handle };
    });
  }

  /** May throw or reject with what a page throws. */
  route(request: IncomingMessage): Answer | Promise<Answer> {
    const target = targetOf(request.url ?? '/');
    if (target === undefined) return { status: 400, body: { error: 'this is not the path of a page' } };
    const method = request.method === 'HEAD' ? 'GET' : request.method;
    const allowed: string[] = [];
    for (const page of this.#pages) {
      const params = match(page.template, target.path);
      if (params === undefined) continue;
      if (method === page.method) return page.handle({ params, query: target.query });
      allowed.push(...(page.method === 'GET' ? ['GET', 'HEAD'] : [page.method]));
    }
    if (allowed.length === 0) {
      return { status: 404, body: { error: `no such page; there are: ${this.#list}` } };
    }
    return {
      status: 405,
      body: { error: `${request.method} is not for /${target.path.join('/')}` },
      headers: { allow: allowed.join(', ') },
    };
  }
}

/** What is wrong with a request whatever it is for. */
export function malformation({
  httpVersionMinor,
  headersDistinct,
  rawHeaders,
}: IncomingMessage): Answer | undefined {
  // Node's parser leaves out the headers beyond its own bound, which is one above ours.
  if (rawHeaders.length / 2 > httpHeadersMax) {
    return { status: 431, body: { error: `requests have at most ${httpHeadersMax} headers` } };
  }
  const hosts = headersDistinct.host?.length ?? 0;
  if (hosts > 1 || (hosts === 0 && httpVersionMinor > 0)) {
    return { status: 400, body: { error: 'a request has one Host' } };
  }
  return undefined;
}

/** What a web page must not do through the browser of somebody who can reach us. */
export function foreignness({ method, headers }: IncomingMessage): Answer | undefined {
  if (!isOwnHost(headers.host)) return { status: 421, body: { error: 'ask by IP address or as localhost' } };
  if (method === 'GET' || method === 'HEAD' || !isFromPage(headers)) return undefined;
  return { status: 403, body: { error: 'a web page may not change anything here; use the pinion command' } };
}

/** Browsers send Origin with every request that is not GET or HEAD, and say how its page is related to us. */
function isFromPage(headers: IncomingHttpHeaders): boolean {
  const site = headers['sec-fetch-site'];
  return headers.origin !== undefined || (site !== undefined && site !== 'none' && site !== 'same-origin');
}

function isOwnHost(host: string | undefined): boolean {
  if (host === undefined) return true;
  // RFC 9110, 4.2.3: the case of a host does not matter.
  const name = host
    .toLowerCase()
    .replace(/:\d+$/, '')
    .replace(/^\[|\]$/g, '');
  return name === 'localhost' || isIP(name) !== 0;
}

/** The decoded segments of a request's path and its query; undefined for what is no path: `//`, `/%`. */
function targetOf(text: string): { readonly path: string[]; readonly query: URLSearchParams } | undefined {
  try {
    const url = new URL(text, 'http://localhost');
    return { path: url.pathname.split('/').slice(1).map(decodeURIComponent), query: url.searchParams };
  } catch {
    return undefined;
  }
}

function match(template: readonly string[], path: readonly string[]): Record<string, string> | undefined {
  if (template.length !== path.length) return undefined;
  const params: Record<string, string> = {};
  for (const [i, segment] of template.entries()) {
    if (segment.startsWith(':')) params[segment.slice(1)] = path[i]!;
    else if (segment !== path[i]) return undefined;
  }
  return params;
}
