/**
 * A small HTTP server for people and monitors: routes are a table, bodies are bounded, slow clients are cut off.
 *
 * On TCP it asks nobody for a password, and a browser on this machine reaches it for any web page. So there it answers
 * only requests whose Host is this machine or an IP address (DNS rebinding: a page reaches us through a name it
 * controls), and changes nothing for a page of another origin (which needs no such name to send a POST).
 */
import {
  createServer,
  type IncomingHttpHeaders,
  type IncomingMessage,
  type Server,
  type ServerResponse,
} from 'node:http';
import { isIP } from 'node:net';
import { bindHints } from '../control/listeners.ts';
import type { Bind } from '../core/plan.ts';
import { listenAtPath } from './unix-socket.ts';

export interface Answer {
  readonly status: number;
  /** Text, or an object that is sent as JSON. */
  readonly body: string | object;
  readonly contentType?: string;
  readonly headers?: Readonly<Record<string, string>>;
}

export interface HttpService {
  /** 0 on a unix socket. */
  readonly port: number;
  /** Stops listening, and cuts off who is connected. */
  close(): void;
}

/** `GET /pools/:name`: a segment that starts with a colon is passed in `params`. */
export type Routes = Readonly<Record<string, (request: RouteRequest) => Answer | Promise<Answer>>>;

export interface RouteRequest {
  readonly params: Readonly<Record<string, string>>;
  readonly query: URLSearchParams;
}

const requestTimeoutMs = 5_000;
/** Until a client has taken an answer. */
const takenWithinMs = 10_000;
/** How often Node looks for requests that are late. Its default of 30 s would let them live as long. */
const lateCheckMs = 1_000;
const bodyBytesMax = 64 * 1024;

/**
 * Unix sockets are made for their owner alone (0600); one that nobody answers on is replaced.
 * @throws Error saying why the address cannot be had and what to do
 */
export async function serveHttp(bind: Bind, routes: Routes): Promise<HttpService> {
  const server = createServer(
    {
      requestTimeout: requestTimeoutMs,
      headersTimeout: requestTimeoutMs,
      connectionsCheckingInterval: lateCheckMs,
    },
    (request, response) => {
      void answer(request, response, routes, bind.kind === 'unix');
    },
  );
  server.maxConnections = 256;
  server.keepAliveTimeout = requestTimeoutMs;
  let removePath: () => void = () => {};
  if (bind.kind === 'unix') removePath = await listenAtPath(server, bind.path);
  else await listen(server, bind.port, bind.ip);
  server.on('error', () => {});
  const bound = server.address();
  const port = bound !== null && typeof bound === 'object' ? bound.port : 0;
  return {
    port,
    close() {
      removePath();
      server.close();
      server.closeAllConnections();
    },
  };
}

function listen(server: Server, port: number, ip: string): Promise<void> {
  return new Promise((resolve, reject) => {
    const failed = ({ code, message }: NodeJS.ErrnoException): void => {
      const hint = bindHints[code ?? ''];
      reject(new Error(hint === undefined ? message : `${code}; ${hint}`));
    };
    server.once('error', failed);
    server.listen(port, ip, () => {
      server.off('error', failed);
      resolve();
    });
  });
}

async function answer(
  request: IncomingMessage,
  response: ServerResponse,
  routes: Routes,
  trusted: boolean,
): Promise<void> {
  let result: Answer;
  try {
    result = await route(request, routes, trusted);
  } catch (error) {
    result = { status: 500, body: { error: error instanceof Error ? error.message : String(error) } };
  }
  const isText = typeof result.body === 'string';
  response.writeHead(result.status, {
    'content-type': result.contentType ?? (isText ? 'text/plain; charset=utf-8' : 'application/json'),
    'cache-control': 'no-store',
    ...result.headers,
  });
  // Node's own time-outs are for what is received.
  if (response.socket !== null) cutOffWhenSlow(response);
  else response.once('socket', () => cutOffWhenSlow(response));
  // To HEAD Node sends no body.
  response.end(isText ? result.body : `${JSON.stringify(result.body)}\n`);
}

/** From when the answer's turn on its connection has come. */
function cutOffWhenSlow(response: ServerResponse): void {
  const timer = setTimeout(() => response.destroy(), takenWithinMs);
  response.once('close', () => clearTimeout(timer));
}

async function route(request: IncomingMessage, routes: Routes, trusted: boolean): Promise<Answer> {
  if (!trusted) {
    const refusal = refusalOf(request);
    if (refusal !== undefined) return refusal;
  }
  let received = 0;
  for await (const chunk of request) {
    received += (chunk as Buffer).length;
    if (received > bodyBytesMax)
      return { status: 413, body: { error: `bodies have at most ${bodyBytesMax} bytes` } };
  }
  const target = targetOf(request.url ?? '/');
  if (target === undefined) return { status: 400, body: { error: 'this is not the path of a page' } };
  const method = request.method === 'HEAD' ? 'GET' : request.method;
  const allowed: string[] = [];
  for (const [pattern, handle] of Object.entries(routes)) {
    const [routeMethod, template] = pattern.split(' ') as [string, string];
    const params = match(template.split('/').slice(1), target.path);
    if (params === undefined) continue;
    if (method === routeMethod) return handle({ params, query: target.query });
    allowed.push(...(routeMethod === 'GET' ? ['GET', 'HEAD'] : [routeMethod]));
  }
  if (allowed.length > 0) {
    return {
      status: 405,
      body: { error: `${request.method} is not for /${target.path.join('/')}` },
      headers: { allow: allowed.join(', ') },
    };
  }
  return { status: 404, body: { error: `no such page; there are: ${Object.keys(routes).join(', ')}` } };
}

/** What a web page must not do through the browser of somebody who can reach us. */
function refusalOf({ method, headers }: IncomingMessage): Answer | undefined {
  if (!isOwnHost(headers.host)) return { status: 421, body: { error: 'ask by IP address or as localhost' } };
  if (method === 'GET' || method === 'HEAD' || !isFromPage(headers)) return undefined;
  return { status: 403, body: { error: 'a web page may not change anything here; use the pinion command' } };
}

/** Browsers send Origin with every request that is not GET or HEAD, and say how its page is related to us. */
function isFromPage(headers: IncomingHttpHeaders): boolean {
  const site = headers['sec-fetch-site'];
  return headers.origin !== undefined || (site !== undefined && site !== 'none' && site !== 'same-origin');
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

function isOwnHost(host: string | undefined): boolean {
  if (host === undefined) return true;
  const name = host.replace(/:\d+$/, '').replace(/^\[|\]$/g, '');
  return name === 'localhost' || isIP(name) !== 0;
}
