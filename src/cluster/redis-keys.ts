/**
 * Names of keys in Redis. What is in braces is the hash tag: keys of one shard are on one node of a Redis Cluster
 * (redis.io/docs/latest/operate/oss_and_stack/reference/cluster-spec, "Hash tags").
 *
 *   {pinion:<cluster>:<shard>}:pin:<pool>/<kind>/<key>    :changes    :head    :lease:<instance>
 *   {pinion:<cluster>}:members    :layout    :instance:<id>    :counts:<id>    :flows:<id>    :words    :word:<id or *>/<pool>/<backend>
 *   :kills    :kill:<number>
 */

export class RedisKeys {
  /** Before the names that belong to no shard. */
  readonly common: string;
  readonly members: string;
  readonly layout: string;
  /** The names of operators' words. */
  readonly words: string;
  /** The names of operators' orders to end flows. */
  readonly kills: string;
  /** For SCAN: the pins of all shards. */
  readonly pinPattern: string;
  private readonly bases: readonly string[];
  private readonly scanPrefix: string;
  private readonly instance: string;

  constructor(cluster: string, instance: string, shards: number) {
    this.common = `{pinion:${cluster}}:`;
    this.members = `${this.common}members`;
    this.layout = `${this.common}layout`;
    this.words = `${this.common}words`;
    this.kills = `${this.common}kills`;
    this.instance = instance;
    this.bases = Array.from({ length: shards }, (_, shard) => `{pinion:${cluster}:${shard}}:`);
    this.scanPrefix = `{pinion:${cluster}:`;
    // Brackets may be part of a name and mean something to SCAN.
    this.pinPattern = `${this.scanPrefix.replace(/[[\]*?\\]/g, '\\$&')}*}:pin:*`;
  }

  stream(shard: number): string {
    return `${this.bases[shard]!}changes`;
  }

  head(shard: number): string {
    return `${this.bases[shard]!}head`;
  }

  lease(shard: number): string {
    return `${this.bases[shard]!}lease:${this.instance}`;
  }

  /** What comes before a pin's text in its key. */
  pinBase(shard: number): string {
    return `${this.bases[shard]!}pin:`;
  }

  of(kind: 'instance' | 'counts' | 'flows', instance: string): string {
    return `${this.common}${kind}:${instance}`;
  }

  /** An operator's word. */
  word(name: string): string {
    return `${this.common}word:${name}`;
  }

  /** An operator's order to end flows. */
  kill(id: string): string {
    return `${this.common}kill:${id}`;
  }

  /** The shard and text of a key that SCAN found; undefined if it is not a pin of this cluster. */
  parsePin(key: string): { readonly shard: number; readonly text: string } | undefined {
    if (!key.startsWith(this.scanPrefix)) return undefined;
    const end = key.indexOf('}', this.scanPrefix.length);
    const shard = Number(key.slice(this.scanPrefix.length, end));
    const base = this.bases[shard];
    if (end < 0 || base === undefined || !key.startsWith(`${base}pin:`)) return undefined;
    return { shard, text: key.slice(base.length + 'pin:'.length) };
  }
}
