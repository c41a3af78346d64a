/** What the checks room tells control: a tagged union of plain data. */
import type { Ip } from './resolve.ts';

export type MessageFromChecks =
  /** A backend's health has flipped. */
  | { readonly type: 'verdict'; readonly id: number; readonly up: boolean; readonly why: string }
  | { readonly type: 'resolved'; readonly host: string; readonly ip: Ip };
