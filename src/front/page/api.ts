/** What the page asks of pinion, and the token it asks with. The token stays in this tab and goes nowhere else. */

const tokenKey = 'pinion-token';

/** An answer that is not good. */
export class Refusal extends Error {
  readonly status: number;
  readonly body: unknown;

  constructor(status: number, body: unknown) {
    const { error } = (body ?? {}) as { error?: unknown };
    super(typeof error === 'string' ? error : `pinion answered ${status}`);
    this.status = status;
    this.body = body;
  }
}

export function headers(): Record<string, string> {
  const token = sessionStorage.getItem(tokenKey);
  return token === null ? {} : { authorization: `Bearer ${token}` };
}

export function useToken(token: string): void {
  if (token === '') sessionStorage.removeItem(tokenKey);
  else sessionStorage.setItem(tokenKey, token);
}

/**
 * @param path relative to the page, with its query
 * @throws Refusal; TypeError if there is no answer at all
 */
export async function ask<Body>(path: string, method: 'GET' | 'POST' | 'DELETE' = 'GET'): Promise<Body> {
  const response = await fetch(path, { method, headers: headers(), cache: 'no-store' });
  const text = await response.text();
  let body: unknown = text;
  try {
    body = JSON.parse(text);
  } catch {
    // What is between us and pinion may answer in its own way.
  }
  if (!response.ok) throw new Refusal(response.status, body);
  return body as Body;
}

/** A query of what is not empty. */
export function query(values: Readonly<Record<string, string | number | boolean | undefined>>): string {
  const pairs = Object.entries(values).flatMap(([name, value]) =>
    value === undefined || value === '' || value === false ? [] : [[name, String(value)]],
  );
  return pairs.length === 0 ? '' : `?${new URLSearchParams(pairs)}`;
}

/** What went wrong, for people. */
export function words(error: unknown): string {
  if (error instanceof Refusal) return error.message;
  return 'pinion does not answer; nothing is known to have changed';
}
