/**
 * Names and numbers of the kernel's table: what one instance of pinion, its successor and whoever reads `nft list table` have to agree
 * on. A change of anything here or of what a rule means is a new {@link layoutVersion}: the successor then replaces the
 * whole table instead of changing what differs.
 *
 *    mark of a connection | 31: masquerade | 30-24: tag of the table | 23-16: 0 | 15-0: number of the target |
 */
import { basename } from 'node:path';
import type { Plan } from '../core/plan.ts';
import { hashText } from '../core/policy/hash-text.ts';

const layoutVersion = 1;
/**
 * The catalogue: a set with a comment for each set, map, counter and timeout of the table. It says in which form the table is, and what
 * is there: nft reads all elements of all maps to list anything else, for which it takes minutes where there are a million.
 */
export const layoutMarker = `layout/${layoutVersion}`;

/** Added to a bucket, so that one that leads to nobody is no target's number. */
export const bucketOffset = 0x1_0000;

/** Distinct addresses of backends that one table may lead to. */
export const targetsMax = 0xffff;

export const masqueradeBit = 0x8000_0000;
const tagShift = 24;
const tagMask = 0x7f00_0000;

/** The table of an instance: `pinion_` and its name in the cluster, or that of its configuration file. */
export function tableOf({ cluster, source }: Pick<Plan, 'cluster' | 'source'>): string {
  const name = cluster?.instance ?? basename(source).replace(/\.ya?ml$/, '');
  return `pinion_${name.replaceAll(/[^A-Za-z0-9_]/g, '_')}`;
}

/** The bits of a connection's mark that say it came by the rules of `table`: for asking the kernel for these alone. */
export function markOf(table: string): { readonly mark: number; readonly mask: number } {
  return { mark: (((hashText(table, 0) >>> 0) % 127) + 1) << tagShift, mask: tagMask };
}

/** As rules have it; elements are in decimal, as nft lists them. */
export function hex(mark: number): string {
  return `0x${mark.toString(16)}`;
}

/** Two of them fit into a comment of nft, of 128 characters. */
const safeCharactersMax = 40;

/** A name of the configuration, as one that nft takes: other names hardly ever have the same. */
export function safeName(name: string): string {
  if (/^[A-Za-z0-9._-]+$/.test(name) && name.length <= safeCharactersMax) return name;
  const hash = hashText(name, 0).toString(16).padStart(8, '0');
  const plain = name.replaceAll(/[^A-Za-z0-9._-]/g, '_').slice(0, safeCharactersMax - hash.length - 1);
  return `${plain}/${hash}`;
}

/** Sets of TCP connections that are to be ended with their next packet: client's address and port, backend's address and port. */
export function goneSet(family: 4 | 6): string {
  return `gone/${family}`;
}
