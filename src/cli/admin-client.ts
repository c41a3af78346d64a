/** Asking a running instance over its admin socket. */
import { request } from 'node:http';
import type { Bind } from '../core/plan.ts';

export interface AdminAnswer {
  readonly status: number;
  readonly body: unknown;
}

/**
 * @returns undefined when nobody listens there
 * @throws Error when something listens but does not answer as pinion would
 */
export function askAdmin(bind: Bind, method: 'GET' | 'POST', path: string): Promise<AdminAnswer | undefined> {
  return new Promise((resolve, reject) => {
    const where = bind.kind === 'unix' ? { socketPath: bind.path } : { host: bind.ip, port: bind.port };
    const call = request(
      { ...where, method, path, timeout: 5_000, headers: { host: 'localhost' } },
      (response) => {
        let text = '';
        response.setEncoding('utf8');
        response.on('data', (chunk: string) => {
          text += chunk;
        });
        response.on('end', () => {
          try {
            resolve({ status: response.statusCode ?? 0, body: JSON.parse(text) });
          } catch {
            reject(
              new Error(`the admin address answered ${response.statusCode} with something that is not JSON`),
            );
          }
        });
      },
    );
    call.on('timeout', () => call.destroy(new Error('the admin address does not answer')));
    call.on('error', (error: NodeJS.ErrnoException) => {
      if (error.code === 'ENOENT' || error.code === 'ECONNREFUSED') resolve(undefined);
      else reject(error);
    });
    call.end();
  });
}
