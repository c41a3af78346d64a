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

export interface RouteRequest {
  readonly params: Readonly<Record<string, string>>;
  readonly query: URLSearchParams;
}

export type Handle = (request: RouteRequest) => Answer | Promise<Answer>;

/** `GET /pools/:name`: a segment that starts with a colon is passed in `params`. */
export type Routes = Readonly<Record<string, Handle>>;

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
