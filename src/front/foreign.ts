/**
 * What is refused before any page is asked: requests that are none, and what a web page does through somebody's browser.
 *
 * A browser that reaches us does so for any web page: on loopback, or on a unix socket that was forwarded (`ssh -L`). So only requests are
 * answered whose Host is this machine or an IP address (DNS rebinding: a page reaches us through a name it controls), and nothing is
 * changed for a page of another origin than our own (which needs no such name to send a POST). What such a page loads it cannot read; but
 * a stream or a long list costs us as much, so it may only lead here.
 */
import type { IncomingHttpHeaders, IncomingMessage } from 'node:http';
import { isIP } from 'node:net';
import { httpHeadersMax } from '../core/limits.ts';
import type { Answer } from './answer.ts';

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

/**
 * What a web page must not do through the browser of somebody who can reach us.
 * @param isUnix on a unix socket, where programs call us by any word: only names with a dot can be a page's own
 */
export function foreignness(
  { method, headers }: Pick<IncomingMessage, 'method' | 'headers'>,
  isUnix: boolean,
): Answer | undefined {
  if (!isOwnHost(headers.host, isUnix))
    return { status: 421, body: { error: 'ask by IP address or as localhost' } };
  if (method !== 'GET' && method !== 'HEAD') return isFromAnotherPage(headers) ? mayNotChange : undefined;
  return isOfAnotherSite(headers) && headers['sec-fetch-mode'] !== 'navigate' ? mayNotLoad : undefined;
}

const mayNotChange: Answer = {
  status: 403,
  body: { error: 'a web page may not change anything here; use the pinion command' },
};
const mayNotLoad: Answer = {
  status: 403,
  body: { error: 'a web page of another origin may not load anything from here' },
};

/** Browsers send Origin with every request that is not GET or HEAD, and say how its page is related to us. */
function isFromAnotherPage({ origin, host, 'sec-fetch-site': site }: IncomingHttpHeaders): boolean {
  if (isOfAnotherSite({ 'sec-fetch-site': site })) return true;
  // Our own page; the Host was looked at before.
  return origin !== undefined && origin !== `http://${host}`;
}

/** As far as the browser says. */
function isOfAnotherSite({ 'sec-fetch-site': site }: IncomingHttpHeaders): boolean {
  return site !== undefined && site !== 'none' && site !== 'same-origin';
}

function isOwnHost(host: string | undefined, isUnix: boolean): boolean {
  if (host === undefined) return true;
  // RFC 9110, 4.2.3: the case of a host does not matter.
  const name = host
    .toLowerCase()
    .replace(/:\d+$/, '')
    .replace(/^\[|\]$/g, '');
  return name === 'localhost' || isIP(name) !== 0 || (isUnix && !name.includes('.'));
}
