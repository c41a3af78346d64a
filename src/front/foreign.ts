/**
 * What is refused before any page is asked: requests that are none, and what a web page does through somebody's browser.
 *
 * A browser that reaches us does so for any web page: on loopback, or on a unix socket that was forwarded (`ssh -L`). So only requests are
 * answered whose Host is this machine or an IP address (DNS rebinding: a page reaches us through a name it controls), and nothing is
 * changed for a page of another origin than our own (which needs no such name to send a POST). What such a page loads it cannot read; but
 * a stream or a long list costs us as much, so it may only lead here.
 *
 * Behind a proxy that ends TLS the page's origin is the proxy's, and so may be the Host: both are ours if they are in `admin.origins`.
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

/** By what names we are asked, and of what origin our own page is. */
export class OwnNames {
  private readonly isUnix: boolean;
  private readonly origins: ReadonlySet<string>;
  /** Of the origins. Which port a proxy leaves in Host, if any, is its own affair. */
  private readonly names: ReadonlySet<string>;

  /**
   * @param isUnix on a unix socket, where programs call us by any word: only names with a dot can be a page's own
   * @param origins as browsers write them
   */
  constructor(isUnix: boolean, origins: readonly string[]) {
    this.isUnix = isUnix;
    this.origins = new Set(origins);
    this.names = new Set(origins.map((origin) => nameIn(new URL(origin).host)));
  }

  hasHost(host: string | undefined): boolean {
    return host === undefined || this.isHere(host) || this.names.has(nameIn(host));
  }

  /** @param host one of ours, which the request is for */
  hasOrigin(origin: string, host: string | undefined): boolean {
    // Only where we are asked by address there is nobody before us whose page it would be, and no TLS.
    return this.origins.has(origin) || (this.isHere(host ?? '') && origin === `http://${host}`);
  }

  private isHere(host: string): boolean {
    const name = nameIn(host);
    return name === 'localhost' || isIP(name) !== 0 || (this.isUnix && !name.includes('.'));
  }
}

/** The name, or the address, of a Host. RFC 9110, 4.2.3: its case does not matter. */
function nameIn(host: string): string {
  return host
    .toLowerCase()
    .replace(/:\d+$/, '')
    .replace(/^\[|\]$/g, '');
}

/** What a web page must not do through the browser of somebody who can reach us. */
export function foreignness(
  { method, headers }: Pick<IncomingMessage, 'method' | 'headers'>,
  own: OwnNames,
): Answer | undefined {
  if (!own.hasHost(headers.host)) return otherHost;
  if (method !== 'GET' && method !== 'HEAD')
    return isFromAnotherPage(headers, own) ? mayNotChange : undefined;
  return isOfAnotherSite(headers) && headers['sec-fetch-mode'] !== 'navigate' ? mayNotLoad : undefined;
}

const otherHost: Answer = {
  status: 421,
  body: {
    error:
      'ask by IP address or as localhost; behind a proxy, list https://NAME of the proxy in admin.origins',
  },
};
const mayNotChange: Answer = {
  status: 403,
  body: {
    error:
      'a web page of another origin may not change anything here; use the pinion command, or list the origin in admin.origins if it is that of a proxy before pinion',
  },
};
const mayNotLoad: Answer = {
  status: 403,
  body: { error: 'a web page of another origin may not load anything from here' },
};

/** Browsers send Origin with every request that is not GET or HEAD, and say how its page is related to us. */
function isFromAnotherPage(
  { origin, host, 'sec-fetch-site': site }: IncomingHttpHeaders,
  own: OwnNames,
): boolean {
  if (isOfAnotherSite({ 'sec-fetch-site': site })) return true;
  return origin !== undefined && !own.hasOrigin(origin, host);
}

/** As far as the browser says. */
function isOfAnotherSite({ 'sec-fetch-site': site }: IncomingHttpHeaders): boolean {
  return site !== undefined && site !== 'none' && site !== 'same-origin';
}
