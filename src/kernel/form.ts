/**
 * The kernel's table in a form that can be compared: what it has, by name, and the elements of each set and map. The same form says
 * how it is to be (wanted.ts) and how it is (present.ts); transaction.ts makes of two of them what is to be changed.
 *
 * A name says all that cannot be changed under it (the sizes and types of a set, the numbers of a limit), so what has
 * another head has another name.
 */

/** Of a set the values are empty. */
export interface Elements {
  readonly kind: 'elements';
  readonly elements: Map<string, string>;
  /** Where the table before has the very same map of elements: what of it was otherwise there. Undefined: it was not there. */
  readonly changed?: ReadonlyMap<string, string | undefined>;
}

/** What a set or map holds. Elements are in the notation of nft, numbers in decimal. */
export type Content =
  | Elements
  /** Values are what to do with a packet: chains have to be there before, and to stay longer. */
  | { readonly kind: 'verdicts'; readonly elements: Map<string, string> }
  /** The number of a target for each bucket; 0: nobody. */
  | { readonly kind: 'buckets'; readonly numbers: Uint16Array }
  /** Networks, the same ones where the version is the same. */
  | { readonly kind: 'networks'; readonly version: string; readonly networks: Iterable<string> }
  /** The kernel fills it, or the thread while it runs: left alone. */
  | { readonly kind: 'alive' }
  /** Of what was found: nobody has looked. */
  | { readonly kind: 'unknown' };

export interface Collection {
  readonly kind: 'set' | 'map';
  /** `type mark : mark; size 65537;` */
  readonly head: string;
  readonly content: Content;
}

export interface Chain {
  /** `type nat hook prerouting priority -100; policy accept;`; undefined: others lead to it. */
  readonly base: string | undefined;
  /** Undefined: of what was found; they are written anew. */
  readonly rules: readonly string[] | undefined;
}

export interface Ruleset {
  /** Of the family inet. */
  readonly table: string;
  /** `ct timeout` objects, by their bodies. */
  readonly timeouts: ReadonlyMap<string, string>;
  readonly counters: ReadonlySet<string>;
  readonly collections: ReadonlyMap<string, Collection>;
  readonly chains: ReadonlyMap<string, Chain>;
}
