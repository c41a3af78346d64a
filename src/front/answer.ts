/** What a page is asked and what it answers: the two records between the HTTP server and its routes. */

export interface Answer {
  readonly status: number;
  /** Text or bytes as they are sent, or an object that is sent as JSON. */
  readonly body: string | object | Uint8Array;
  readonly contentType?: string;
  readonly headers?: Readonly<Record<string, string>>;
}

/** An answer as it is sent. */
export interface EncodedAnswer extends Answer {
  readonly body: Uint8Array;
  readonly contentType: string;
}

/** An answer that goes on until its client goes: it is begun once its head has been sent. */
export interface StreamedAnswer {
  readonly status: 200;
  readonly contentType: string;
  readonly begin: (stream: OutStream) => void;
}

/** The way to a client that is told what happens. */
export interface OutStream {
  /** What was written before has been taken from us. False: who writes now makes us hold more. */
  readonly isTaken: boolean;
  write(bytes: Uint8Array): void;
  /** Called when all that was written has been taken. */
  onTaken: () => void;
  /** Called once, when the client is gone. */
  onGone: () => void;
  /** It does not take what it is told, or may not be told any more. */
  cut(why: 'slow-reader' | 'token'): void;
}

/** What whoever asks may do. `none`: nothing but ask whether this instance lives. */
export type Access = 'none' | 'read' | 'write';

export interface RouteRequest {
  readonly params: Readonly<Record<string, string>>;
  readonly query: URLSearchParams;
  /** Absent in tests: whoever asks the handler itself may do everything. */
  readonly access?: Access;
  /** The same at a later moment: tokens are replaced while somebody is told what happens. */
  readonly accessNow?: () => Access | 'wrong-token';
  /** Of server-sent events: the id of the last one that the client has. */
  readonly lastEventId?: string | undefined;
}

export type Handle = (request: RouteRequest) => Answer | Promise<Answer>;

/** For `GET` alone. */
export type StreamHandle = (
  request: RouteRequest,
) => Answer | StreamedAnswer | Promise<Answer | StreamedAnswer>;

/** `GET /pools/:name`: a segment that starts with a colon is passed in `params`. */
export type Routes = Readonly<Record<string, Handle>>;

/** The same, with pages that go on. */
export type AllRoutes = Readonly<Record<string, StreamHandle>>;

const text = 'text/plain; charset=utf-8';

export function encode(answer: Answer): EncodedAnswer {
  const { body } = answer;
  if (body instanceof Uint8Array) return { ...answer, body, contentType: answer.contentType ?? text };
  if (typeof body === 'string') {
    return { ...answer, body: Buffer.from(body), contentType: answer.contentType ?? text };
  }
  const json = Buffer.from(`${JSON.stringify(body)}\n`);
  return { ...answer, body: json, contentType: answer.contentType ?? 'application/json' };
}
