/**
 * Who may come in: a listener's `allow` and `deny`. Deny wins; where there is an `allow`, whoever is not in it is denied.
 * Asked once for each new flow, of the client that was identified, and again of open flows when a list is another one.
 */
import type { Address } from './address.ts';
import { AddressRanges, type ListedCidr } from './address-ranges.ts';
import { formatCidr } from './cidr.ts';

/** One file, or what stands in the configuration itself. */
export interface AddressList {
  /** Its path; undefined: in the configuration. */
  readonly file: string | undefined;
  /** See {@link AddressRanges}. */
  readonly shared: SharedArrayBuffer;
}

/** What the data plane knows of it. */
export interface AccessView {
  /** Changes when a list does. */
  readonly version: string;
  /** Undefined: whoever is not denied may come in. */
  readonly allow: readonly AddressList[] | undefined;
  readonly deny: readonly AddressList[];
}

export interface AccessVerdict {
  readonly isAllowed: boolean;
  /** In words, with the list and its line. */
  readonly why: string;
}

interface Searched {
  readonly file: string | undefined;
  readonly ranges: AddressRanges;
}

export class Access {
  readonly version: string;
  private readonly allow: readonly Searched[] | undefined;
  private readonly deny: readonly Searched[];

  constructor({ version, allow, deny }: AccessView) {
    this.version = version;
    this.allow = allow?.map(searched);
    this.deny = deny.map(searched);
  }

  /** O(log n) for each list; makes no objects. */
  denies(client: Address): boolean {
    const { allow } = this;
    return isIn(this.deny, client) || (allow !== undefined && !isIn(allow, client));
  }

  /** For a person who asks. */
  verdict(client: Address): AccessVerdict {
    const denied = lineOf('deny', this.deny, client);
    if (denied !== undefined) return { isAllowed: false, why: denied };
    if (this.allow === undefined) return { isAllowed: true, why: 'not in deny' };
    const allowed = lineOf('allow', this.allow, client);
    return allowed === undefined
      ? { isAllowed: false, why: 'not in allow' }
      : { isAllowed: true, why: allowed };
  }
}

function searched({ file, shared }: AddressList): Searched {
  return { file, ranges: new AddressRanges(shared) };
}

function isIn(lists: readonly Searched[], client: Address): boolean {
  for (let i = 0; i < lists.length; i++) if (lists[i]!.ranges.has(client)) return true;
  return false;
}

function lineOf(key: 'allow' | 'deny', lists: readonly Searched[], client: Address): string | undefined {
  for (const { file, ranges } of lists) {
    const found = ranges.find(client);
    if (found !== undefined) return `${key}: ${placeOf(file, found)}`;
  }
  return undefined;
}

function placeOf(file: string | undefined, found: ListedCidr): string {
  return file === undefined ? formatCidr(found) : `${formatCidr(found)} in ${file}:${found.line}`;
}
