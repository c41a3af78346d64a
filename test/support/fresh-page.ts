/**
 * `/metrics` and `/status` as they are now: such a page is shared by all who ask shortly after it was made, on a busy machine
 * for up to a second, and says itself since when (`pinion-as-of`, docs/MONITORING.md).
 */
import { request } from 'node:http';
import { eventually } from './eventually.ts';

/**
 * Like `fetch`, until nothing on the page is older than this call; a page that does not say how old it is comes as it is.
 * It uses nothing of this file, so that its text may be a part of a program that runs in another namespace.
 */
export async function fetchFresh(url: string, init?: RequestInit): Promise<Response> {
  const calledAtMs = Date.now();
  for (;;) {
    const response = await fetch(url, init);
    const asOf = response.headers.get('pinion-as-of');
    if (asOf === null || Date.parse(asOf) > calledAtMs) return response;
    if (Date.now() - calledAtMs > 60_000) throw new Error(`${url} is still as of ${asOf}`);
    await response.arrayBuffer();
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}

/** Declares the same function in the text of a program. */
export const fetchFreshText = `const fetchFresh = ${fetchFresh};`;

/** Asks at a unix socket; resolves with the parsed answer, which is not older than this call where it says how old it is. */
export async function ask(socketPath: string, method: string, path: string): Promise<unknown> {
  const calledAtMs = Date.now();
  const { text } = await eventually(`${path} as it is now`, async () => {
    const answer = await exchange(socketPath, method, path);
    return answer.asOf === undefined || Date.parse(answer.asOf) > calledAtMs ? answer : undefined;
  });
  return JSON.parse(text);
}

function exchange(
  socketPath: string,
  method: string,
  path: string,
): Promise<{ readonly asOf: string | undefined; readonly text: string }> {
  return new Promise((resolve, reject) => {
    const call = request({ socketPath, method, path, headers: { host: 'localhost' } }, (response) => {
      const asOf = response.headers['pinion-as-of'] as string | undefined;
      let text = '';
      response.setEncoding('utf8');
      response.on('data', (more: string) => {
        text += more;
      });
      response.on('end', () => resolve({ asOf, text }));
    });
    call.on('error', reject).end();
  });
}
