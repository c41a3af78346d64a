/** What the checks room tells control: a tagged union of plain data. */
import type { Ip } from './resolve.ts';

export interface Verdict {
  readonly id: number;
  readonly up: boolean;
  readonly why: string;
}

export type MessageFromChecks = {
  readonly type: 'news';
  /** Backends whose health has flipped. */
  readonly verdicts: readonly Verdict[];
  readonly resolved: readonly { readonly host: string; readonly ip: Ip }[];
};
