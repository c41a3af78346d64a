/** The part of autocannon the benchmark uses; the package brings no types. */
declare module 'autocannon' {
  export interface Result {
    readonly requests: { readonly total: number };
    readonly '2xx': number;
    readonly non2xx: number;
    readonly errors: number;
    readonly timeouts: number;
    readonly duration: number;
    /** Whole milliseconds. */
    readonly latency: { readonly p50: number; readonly p99: number };
  }
  export interface Options {
    readonly url: string;
    readonly connections: number;
    /** Seconds. */
    readonly duration: number;
  }
  export default function autocannon(options: Options): Promise<Result>;
}
