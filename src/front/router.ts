/**
 * Which page a request is for, and whether whoever asks may have it. Finding the page is Hono's business; how much is read of whom, and
 * how an answer is sent, stays with the server in front (http.ts), whose bounds hold for every page. So handlers give an
 * {@link Answer} rather than a Response: one body for a hundred readers stays one.
 */
import type { IncomingMessage } from 'node:http';
import { type Context, Hono } from 'hono';
import type { Access, AllRoutes, Answer, StreamedAnswer, StreamHandle } from './answer.ts';
import type { Gate } from './gate.ts';

interface Env {
  Bindings: {
    readonly request: Pick<IncomingMessage, 'method' | 'headers'>;
    readonly access: Access;
    readonly accessNow: () => Access | 'wrong-token';
    answer: Promise<Answer | StreamedAnswer> | Answer | StreamedAnswer;
  };
}

/** What everybody may ask who may ask at all. */
const openPages: ReadonlySet<string> = new Set(['GET /healthz', 'GET /readyz', 'GET /', 'GET /page/:file']);

export class Router {
  readonly #app = new Hono<Env>();
  readonly #methods: ReadonlySet<string>;
  readonly #list: string;
  readonly #gate: Gate;

  constructor(routes: AllRoutes, gate: Gate) {
    this.#gate = gate;
    const patterns = Object.keys(routes);
    this.#list = patterns.join(', ');
    this.#methods = new Set(patterns.map((pattern) => pattern.slice(0, pattern.indexOf(' '))));
    for (const [pattern, handle] of Object.entries(routes)) {
      const [method = '', path = ''] = pattern.split(' ');
      const needs = openPages.has(pattern) ? 'none' : method === 'GET' ? 'read' : 'write';
      this.#app.on(method, path, (context) => keep(context, handle, needs));
    }
    this.#app.notFound((context) => {
      context.env.answer = this.#nothing(context.env.request.method ?? '', context.req.path);
      return nothingMore();
    });
    this.#app.onError((error) => {
      throw error;
    });
  }

  /** May throw or reject with what a page throws. */
  async route(request: IncomingMessage): Promise<Answer | StreamedAnswer> {
    const url = urlOf(request.url ?? '/');
    if (url === undefined) return { status: 400, body: { error: 'this is not the path of a page' } };
    const access = this.#gate(request);
    if (access === 'wrong-token') return wrongToken;
    const { method = 'GET' } = request;
    const accessNow = (): Access | 'wrong-token' => this.#gate(request);
    const env: Env['Bindings'] = { request, access, accessNow, answer: this.#nothing(method, url.pathname) };
    // Of an answer to HEAD Node sends the head alone.
    const asked = method === 'HEAD' ? 'GET' : method;
    if (this.#methods.has(asked)) await this.#app.fetch(requestOf(asked, url), env);
    return env.answer;
  }

  #nothing(method: string, path: string): Answer {
    const allowed = [...this.#methods].filter((one) => this.#app.router.match(one, path)[0].length > 0);
    if (allowed.length === 0)
      return { status: 404, body: { error: `no such page; there are: ${this.#list}` } };
    const allow = allowed.flatMap((one) => (one === 'GET' ? ['GET', 'HEAD'] : [one])).join(', ');
    return { status: 405, body: { error: `${method} is not for ${path}` }, headers: { allow } };
  }
}

async function keep(context: Context<Env>, handle: StreamHandle, needs: Access): Promise<Response> {
  const { env, req } = context;
  const { request, access, accessNow } = env;
  if (needs !== 'none' && (access === 'none' || (needs === 'write' && access === 'read'))) {
    env.answer = access === 'none' ? noToken : readOnly;
    return nothingMore();
  }
  const { 'last-event-id': lastEventId } = request.headers;
  const query = new URL(req.url).searchParams;
  const asked = { params: req.param(), query, access, accessNow, lastEventId: lastEventId?.toString() };
  env.answer = await handle(asked);
  return nothingMore();
}

/**
 * All that Hono reads of a request. A `Request` of Node's, or a `Response`, brings an HTTP client with it when the first one is made
 * (undici): some MB, which nothing else here needs.
 */
function requestOf(method: string, { href }: URL): Request {
  return { method, url: href } satisfies Partial<Request> as Request;
}

const nothing = {} as Response;

/** The answer is where {@link Router.route} finds it. */
function nothingMore(): Response {
  return nothing;
}

const challenge = { 'www-authenticate': 'Bearer realm="pinion"' };

const wrongToken: Answer = {
  status: 401,
  body: { error: 'this token is not one of admin.tokens' },
  headers: challenge,
};
const noToken: Answer = {
  status: 401,
  body: {
    error: 'a token is needed here: Authorization: Bearer TOKEN (the first line of a file of admin.tokens)',
  },
  headers: challenge,
};
const readOnly: Answer = {
  status: 403,
  body: {
    error:
      'this takes the right to change something, also to ask what it would do: give the token for writing (admin.tokens.write_file; Authorization: Bearer TOKEN), or use a unix socket (admin.listen: unix:/run/pinion/admin.sock)',
  },
  headers: challenge,
};

/** undefined for what is no path: `//`, `/%`, and a URL with a password, which no Request takes. */
function urlOf(text: string): URL | undefined {
  try {
    const url = new URL(text, 'http://localhost');
    for (const segment of url.pathname.split('/')) decodeURIComponent(segment);
    const isOurs = url.protocol === 'http:' || url.protocol === 'https:';
    return isOurs && url.username === '' && url.password === '' ? url : undefined;
  } catch {
    return undefined;
  }
}
