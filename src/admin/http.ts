/**
 * A small HTTP server for people and monitors: routes are a table, bodies are bounded, slow clients are cut off.
 * On TCP it answers only requests whose Host is this machine or an IP address, so that a web page cannot
 * reach it through a name it controls (DNS rebinding).
 */

import { rmSync } from 'node:fs';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import { isIP } from 'node:net';
import type { Bind } from '../core/plan.ts';

export interface Answer {
  readonly status: number;
  /** Text, or an object that is sent as JSON. */
  readonly body: string | object;
  readonly contentType?: string;
}

/** `GET /pools/:name`: a segment that starts with a colon is passed in `params`. */
export type Routes = Readonly<Record<string, (request: RouteRequest) => Answer | Promise<Answer>>>;

export interface RouteRequest {
  readonly params: Readonly<Record<string, string>>;
  readonly query: URLSearchParams;
}

const requestTimeoutMs = 5_000;
const bodyBytesMax = 64 * 1024;

/** Unix sockets are made for their owner alone (0600). Rejects with the bind's error. */
export function serveHttp(bind: Bind, routes: Routes): Promise<Server> {
  const server = createServer(
    { requestTimeout: requestTimeoutMs, headersTimeout: requestTimeoutMs },
    (request, response) => {
      void answer(request, response, routes, bind.kind === 'unix');
    },
  );
  server.maxConnections = 256;
  server.keepAliveTimeout = requestTimeoutMs;
  return new Promise((resolve, reject) => {
    server.once('error', reject);
    const done = (): void => {
      server.off('error', reject);
      server.on('error', () => {});
      resolve(server);
    };
    if (bind.kind === 'unix') {
      rmSync(bind.path, { force: true });
      // The socket must never exist with wider rights, not even for a moment: bind happens inside `listen`.
      const umask = process.umask(0o177);
      server.listen(bind.path, done);
      process.umask(umask);
    } else {
      server.listen(bind.port, bind.ip, done);
    }
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
  });
  response.end(isText ? result.body : `${JSON.stringify(result.body)}\n`);
}

async function route(request: IncomingMessage, routes: Routes, trusted: boolean): Promise<Answer> {
  if (!trusted && !isOwnHost(request.headers.host)) {
    return { status: 421, body: { error: 'ask by IP address or as localhost' } };
  }
  let received = 0;
  for await (const chunk of request) {
    received += (chunk as Buffer).length;
    if (received > bodyBytesMax)
      return { status: 413, body: { error: `bodies have at most ${bodyBytesMax} bytes` } };
  }
  const url = new URL(request.url ?? '/', 'http://localhost');
  const path = url.pathname.split('/').slice(1).map(decodeURIComponent);
  let otherMethod = false;
  for (const [pattern, handle] of Object.entries(routes)) {
    const [method, template] = pattern.split(' ') as [string, string];
    const params = match(template.split('/').slice(1), path);
    if (params === undefined) continue;
    if (method === request.method) return handle({ params, query: url.searchParams });
    otherMethod = true;
  }
  if (otherMethod) return { status: 405, body: { error: `${request.method} is not for ${url.pathname}` } };
  return { status: 404, body: { error: `no such page; there are: ${Object.keys(routes).join(', ')}` } };
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
