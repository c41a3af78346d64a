/**
 * A small HTTP server for people and monitors. Strangers may reach it, so whatever they send, however much of it and
 * however slowly, costs a bounded part of this thread: one request of a connection at a time, a few more waiting behind
 * it, bounds on connections, bytes and time (core/limits.ts; connections.ts says who goes first).
 *
 * It runs in a worker thread as well. A page that takes long holds up its own connection and no other; a page that
 * blocks the thread blocks all.
 */
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { Socket } from 'node:net';
import { bindHints } from '../control/listeners.ts';
import * as limits from '../core/limits.ts';
import type { Bind } from '../core/plan.ts';
import { type AllRoutes, type Answer, type EncodedAnswer, encode, type StreamedAnswer } from './answer.ts';
import { skipBody } from './body.ts';
import type { Connection } from './connection.ts';
import { Connections, type HttpRefusalCounts } from './connections.ts';
import { foreignness, malformation, OwnNames } from './foreign.ts';
import { type Gate, openGate } from './gate.ts';
import { HttpStream } from './http-stream.ts';
import { Router } from './router.ts';
import { listenAtPath } from './unix-socket.ts';

export type { Answer, RouteRequest, Routes } from './answer.ts';

export interface HttpService {
  /** 0 on a unix socket. */
  readonly port: number;
  /** What was refused or cut since the start, by reason. */
  counts(): HttpRefusalCounts;
  /** Stops listening, and cuts off who is connected. */
  close(): void;
}

export interface HttpOptions {
  /** Who may do what here. Default: everybody everything. */
  readonly gate?: Gate;
  /** Unix socket: whose members may open it, too. */
  readonly group?: string | undefined;
  /** Of pages that may use it besides its own (`admin.origins`). */
  readonly origins?: readonly string[] | undefined;
}

interface Exchange {
  readonly request: IncomingMessage;
  readonly response: ServerResponse;
}

/**
 * Unix sockets are made for their owner alone (0600); one that nobody answers on is replaced.
 * @throws Error saying why the address cannot be had and what to do
 */
export async function serveHttp(
  bind: Bind,
  routes: AllRoutes,
  { gate = openGate, group, origins = [] }: HttpOptions = {},
): Promise<HttpService> {
  const server = createServer({
    maxHeaderSize: limits.httpHeaderBytesMax,
    insecureHTTPParser: false,
    // What these two would do without the order of the queue is done in it.
    requireHostHeader: false,
    requestTimeout: 0,
    headersTimeout: 0,
    keepAliveTimeout: limits.httpIdleMs,
  });
  // A client may say that it has asked all (`nc -N`) and still wait for the answers. Not in Node's types.
  Object.assign(server, { httpAllowHalfOpen: true });
  server.maxHeadersCount = limits.httpHeadersMax + 1;
  server.maxConnections =
    limits.httpWaitingMax + limits.httpAnsweringMax + limits.streamsMax + limits.httpBurstMax;
  const connections = new Connections();
  const own = new OwnNames(bind.kind === 'unix', origins);
  attach(server, connections, new Exchanges(connections, new Router(routes, gate), own));
  let removePath = (): void => {};
  try {
    if (bind.kind === 'unix') removePath = await listenAtPath(server, bind.path, group);
    else await listen(server, bind.ip, bind.port);
  } catch (error) {
    connections.close();
    throw error;
  }
  const bound = server.address();
  let isClosed = false;
  return {
    port: bound !== null && typeof bound === 'object' ? bound.port : 0,
    counts: () => connections.counts(),
    close() {
      if (isClosed) return;
      isClosed = true;
      removePath();
      server.close();
      connections.close();
    },
  };
}

async function listen(server: Server, ip: string, port: number): Promise<void> {
  await new Promise<void>((resolve, reject) => {
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

function attach(server: Server, connections: Connections, exchanges: Exchanges): void {
  const take = (request: IncomingMessage, response: ServerResponse): void => {
    exchanges.take({ request, response });
  };
  // All of them, or Node would answer some out of turn.
  server.on('request', take).on('checkContinue', take).on('checkExpectation', take);
  const refuse = (socket: Socket, code: string | undefined): void => {
    const connection = connections.find(socket);
    if (connection === undefined || code === undefined || !code.startsWith('HPE_')) {
      // The connection broke, or is cut already.
      socket.destroy();
    } else if (code === 'HPE_HEADER_OVERFLOW') connections.refuse(connection, 431, 'too-large');
    else if (code === 'HPE_CHUNK_EXTENSIONS_OVERFLOW') connections.refuse(connection, 413, 'too-large');
    else connections.refuse(connection, 400, 'malformed');
  };
  server.on('clientError', ({ code }: NodeJS.ErrnoException, socket) => refuse(socket as Socket, code));
  server.on('connect', (_request, socket) => refuse(socket as Socket, 'HPE_CONNECT'));
  server.on('connection', (socket) => {
    connections.add(socket);
    parseInPieces(socket, connections);
  });
  server.on('drop', () => connections.count('full'));
  // Of accept, for want of descriptors: the next one may succeed.
  server.on('error', () => {});
}

/**
 * Node's parser takes whatever is read at once, up to 64 kB, and makes 2,000 requests of it before anybody is asked.
 * Its listener gets it piece by piece here, so that nothing is parsed of who was cut meanwhile.
 */
function parseInPieces(socket: Socket, connections: Connections): void {
  const [parse] = socket.listeners('data');
  if (parse === undefined) return;
  socket.removeAllListeners('data');
  socket.on('data', (bytes: Buffer) => {
    for (let at = 0; at < bytes.byteLength; at += limits.httpPieceBytesMax) {
      const connection = connections.find(socket);
      if (connection === undefined || connection.phase === 'leaving' || socket.destroyed) return;
      if (socket.isPaused()) {
        // Node waits until answers have been taken.
        socket.unshift(bytes.subarray(at));
        return;
      }
      parse.call(socket, bytes.subarray(at, at + limits.httpPieceBytesMax));
    }
  });
}

const tooManyStreams: Answer = {
  status: 429,
  body: { error: 'too many follow this instance already; close one of them' },
  headers: { 'retry-after': '5' },
};

function isRefused({ phase }: Connection): boolean {
  return phase === 'leaving';
}

/** What came on which connection and is not answered yet, in its order. */
class Exchanges {
  readonly #connections: Connections;
  readonly #router: Router;
  readonly #own: OwnNames;
  readonly #queues = new WeakMap<Connection, Exchange[]>();

  constructor(connections: Connections, router: Router, own: OwnNames) {
    this.#connections = connections;
    this.#router = router;
    this.#own = own;
  }

  take(exchange: Exchange): void {
    exchange.request.on('error', () => {});
    exchange.response.on('error', () => {});
    const connection = this.#connections.find(exchange.request.socket);
    // The parser goes on to the end of the piece it is reading.
    if (connection === undefined || connection.phase === 'leaving') return;
    const queue = this.#queues.get(connection);
    if (queue === undefined) {
      const begun = [exchange];
      this.#queues.set(connection, begun);
      void this.#work(connection, begun);
    } else if (queue.length > limits.httpPipelinedMax) this.#connections.cut(connection, 'pipelined');
    else queue.push(exchange);
  }

  /** Never rejects. */
  async #work(connection: Connection, queue: Exchange[]): Promise<void> {
    for (let next = queue[0]; next !== undefined && connection.socket.writable; next = queue[0]) {
      try {
        await this.#exchange(connection, next);
      } catch {
        this.#connections.cut(connection, 'failed');
      }
      queue.shift();
    }
    this.#queues.delete(connection);
    if (connection.phase !== 'leaving') this.#connections.enter(connection, 'idle');
  }

  async #exchange(connection: Connection, { request, response }: Exchange): Promise<void> {
    const closed = new Promise((resolve) => response.once('close', resolve));
    this.#connections.enter(connection, 'asking');
    let refusal = this.#refusalOf(request);
    if (refusal === undefined) {
      const end = await skipBody(request, response);
      if (end === 'gone') return;
      if (end !== 'complete') refusal = this.#bodyRefusal(end);
    }
    // Whoever was cut or refused meanwhile, over what came behind this request, has been told that nothing is done.
    if (this.#connections.find(connection.socket) === undefined || isRefused(connection)) return;
    let answer: EncodedAnswer | StreamedAnswer;
    if (refusal === undefined) {
      this.#connections.enter(connection, 'answering');
      answer = await this.#answer(request);
    } else answer = encode(refusal);
    // Whoever has gone meanwhile, or was refused in the middle of its body, is answered nothing.
    if (!connection.socket.writable || response.destroyed) return;
    // To HEAD nothing is sent by which we would see that its client has gone.
    if ('begin' in answer && request.method === 'HEAD') {
      answer = encode({ status: 200, body: '', contentType: answer.contentType });
    }
    if ('begin' in answer) {
      if (this.#connections.mayStream(connection)) return this.#stream(connection, response, answer);
      this.#connections.count('streams');
      answer = encode(tooManyStreams);
    }
    this.#connections.enter(connection, 'taking', answer.body);
    const isOld = performance.now() - connection.openedMs > limits.httpAgeMs;
    response.writeHead(answer.status, {
      'content-type': answer.contentType,
      'content-length': answer.body.byteLength,
      'cache-control': 'no-store',
      'x-content-type-options': 'nosniff',
      ...(isOld || refusal !== undefined ? { connection: 'close' } : {}),
      ...answer.headers,
    });
    // To HEAD Node sends no body.
    response.end(answer.body);
    await closed;
  }

  /** Resolves once the client is gone. */
  async #stream(connection: Connection, response: ServerResponse, answer: StreamedAnswer): Promise<void> {
    this.#connections.enter(connection, 'streaming');
    const closed = new Promise((resolve) => response.once('close', resolve));
    response.writeHead(answer.status, {
      'content-type': answer.contentType,
      'cache-control': 'no-store',
      'x-content-type-options': 'nosniff',
      // A proxy in front of us must not collect it (nginx).
      'x-accel-buffering': 'no',
      connection: 'close',
    });
    response.flushHeaders();
    answer.begin(new HttpStream(response, (why) => this.#connections.cut(connection, why)));
    await closed;
  }

  async #answer(request: IncomingMessage): Promise<EncodedAnswer | StreamedAnswer> {
    try {
      const answer = await this.#router.route(request);
      if ('begin' in answer) return answer;
      if (answer.status === 401 || answer.status === 403) this.#connections.count('token');
      return encode(answer);
    } catch (error) {
      const text = error instanceof Error ? error.message : String(error);
      const status = (error as { status?: number } | undefined)?.status ?? 500;
      return encode({ status, body: { error: text } });
    }
  }

  #refusalOf(request: IncomingMessage): Answer | undefined {
    const malformed = malformation(request);
    if (malformed !== undefined) {
      this.#connections.count('malformed');
      return malformed;
    }
    const foreign = foreignness(request, this.#own);
    if (foreign !== undefined) this.#connections.count('foreign');
    return foreign;
  }

  #bodyRefusal(end: 'too-large' | 'unexpected'): Answer {
    if (end === 'too-large') {
      this.#connections.count('too-large');
      return { status: 413, body: { error: `bodies have at most ${limits.httpBodyBytesMax} bytes` } };
    }
    this.#connections.count('malformed');
    return { status: 417, body: { error: 'nothing but 100-continue can be expected here' } };
  }
}
