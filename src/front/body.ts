/** The body of a request, which no page reads: it is waited for, so that the next request is found behind it. */
import type { IncomingMessage, ServerResponse } from 'node:http';
import { httpBodyBytesMax } from '../core/limits.ts';

/** `unexpected`: an Expect we cannot meet. `gone`: the connection ended first. */
export type BodyEnd = 'complete' | 'too-large' | 'unexpected' | 'gone';

export function skipBody(request: IncomingMessage, response: ServerResponse): Promise<BodyEnd> {
  const { expect, 'content-length': length } = request.headers;
  if (Number(length ?? 0) > httpBodyBytesMax) return Promise.resolve('too-large');
  // RFC 9110, 10.1.1: there is no other, and HTTP/1.0 has none.
  if (expect !== undefined && request.httpVersionMinor > 0) {
    if (!/^100-continue$/i.test(expect)) return Promise.resolve('unexpected');
    response.writeContinue();
  }
  return new Promise((resolve) => {
    let received = 0;
    request.on('data', (chunk: Buffer) => {
      received += chunk.byteLength;
      if (received <= httpBodyBytesMax) return;
      request.pause();
      resolve('too-large');
    });
    request.once('end', () => resolve('complete'));
    request.once('close', () => resolve('gone'));
  });
}
