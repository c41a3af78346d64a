/** Asking a running instance over its admin socket. */
import { type RequestOptions, request } from 'node:http';
import { formatAddress } from '../core/address-text.ts';
import type { Bind } from '../core/plan.ts';
import { AdminFailure } from './admin-failure.ts';
import { authorization } from './token.ts';

export interface AdminAnswer {
  readonly status: number;
  readonly body: unknown;
}

const answerTimeoutMs = 5_000;
/** A reload waits for a start or another reload that is under way: for names, for Redis (15 s), for workers that bind. */
const reloadTimeoutMs = 60_000;

/**
 * @returns undefined when nobody listens there
 * @throws AdminFailure when something listens but may not be asked, or does not answer as pinion would
 */
export function askAdmin(
  bind: Bind,
  method: 'GET' | 'POST' | 'DELETE',
  path: string,
): Promise<AdminAnswer | undefined> {
  const place = formatAddress(bind);
  const timeout = /^(\/v1)?\/reload/.test(path) ? reloadTimeoutMs : answerTimeoutMs;
  return new Promise((resolve, reject) => {
    const call = request({ ...placeOf(bind), method, path, timeout }, (response) => {
      let text = '';
      response.setEncoding('utf8');
      response.on('data', (chunk: string) => {
        text += chunk;
      });
      response.on('error', (error) => reject(failure(place, error)));
      response.on('end', () => {
        try {
          resolve({ status: response.statusCode ?? 0, body: JSON.parse(text) });
        } catch {
          const answered = `it answered ${response.statusCode} with something that is not JSON`;
          reject(new AdminFailure(`${place} is not a pinion admin address (${answered})`));
        }
      });
    });
    call.on('timeout', () => {
      const late = `takes connections and does not answer within ${timeout / 1000} s`;
      call.destroy(new AdminFailure(`${place} ${late}`));
    });
    call.on('error', (error: NodeJS.ErrnoException) => {
      if (error.code === 'ENOENT' || error.code === 'ECONNREFUSED') resolve(undefined);
      else reject(failure(place, error));
    });
    call.end();
  });
}

/** What a request to it begins with. */
export function placeOf(bind: Bind): RequestOptions {
  if (bind.kind === 'unix') return { socketPath: bind.path, headers: { host: 'localhost' } };
  return { host: bind.ip, port: bind.port, headers: { host: 'localhost', ...authorization() } };
}

export function failure(place: string, error: NodeJS.ErrnoException): AdminFailure {
  if (error instanceof AdminFailure) return error;
  const code = error.code ?? '';
  if (code === 'EACCES' || code === 'EPERM') {
    return new AdminFailure(`${place}: this user may not open it (it is its owner's alone); use sudo`);
  }
  // HPE_*: what the HTTP parser could not read.
  if (code.startsWith('HPE_')) {
    return new AdminFailure(`${place} is not a pinion admin address (it does not speak HTTP)`);
  }
  if (code === 'ECONNRESET') return new AdminFailure(`${place} closed the connection without an answer`);
  return new AdminFailure(`${place} cannot be asked: ${code === '' ? error.message : code}`);
}
