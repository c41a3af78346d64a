/** What `/v1/explain` answers, as far as it is drawn (front/explain.ts has all of it). */

export interface Pin {
  readonly kind: string;
  readonly client: string;
  readonly backend: string;
  readonly writer: string;
  readonly reason: string;
  readonly confirmed: boolean;
  readonly ttlMs: number;
  readonly expiresInMs: number;
}

export interface Explanation {
  readonly listener: string;
  readonly route?: string;
  readonly pool: string;
  readonly policy: string;
  readonly client: string;
  readonly key: string;
  readonly told?: string;
  readonly group?: string;
  readonly backend: string | null;
  readonly address: string | null;
  readonly by: 'pin' | 'policy' | 'none';
  readonly pinned: string | null;
  readonly pin: Pin | null;
  readonly why: string;
  readonly whoseAddress?: { readonly why: string };
  readonly moves?: string;
  readonly proxyHeader?: string;
  readonly bandwidth?: readonly { readonly of: string; readonly why: string }[];
  readonly ends?: string;
  readonly waits?: string;
  readonly access?: { readonly why: string };
  readonly without?: { readonly lost: string; readonly backend: string | null };
}
