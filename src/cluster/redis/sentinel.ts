/**
 * Asks the Sentinels where the primary is: those of the configuration and those they name, the one that answered last
 * first, each over a connection of its own with the password its file holds by then.
 */
import type { HostPort, RedisPlan } from '../../core/cluster-plan.ts';
import { sentinelsLearnedMax } from '../../core/limits.ts';
import { FaultError, faultOf } from '../errors.ts';
import { placeText } from './connector.ts';
import { RedisNode } from './node.ts';
import { hostPortOf } from './places.ts';
import type { ReplyBudget } from './reply-guard.ts';

export class Sentinels {
  private readonly plan: RedisPlan;
  private readonly master: string;
  private readonly budget: ReplyBudget;
  private readonly placesMax: number;
  private places: readonly HostPort[];

  constructor(plan: RedisPlan, nodes: readonly HostPort[], master: string, budget: ReplyBudget) {
    this.plan = plan;
    this.master = master;
    this.budget = budget;
    this.places = nodes;
    this.placesMax = nodes.length + sentinelsLearnedMax;
  }

  /** Where the primary is now. Rejects when no Sentinel says so; with each one's answer, as far as it fits. */
  async primary(): Promise<HostPort> {
    const failures: Error[] = [];
    for (const place of this.places) {
      try {
        const found = await this.askOne(place);
        this.places = [place, ...this.places.filter((one) => one !== place)];
        return found;
      } catch (error) {
        failures.push(error as Error);
      }
    }
    // A refusal tells more than one that is not there.
    const telling = failures.find((error) => faultOf(error) !== 'away') ?? failures[0];
    throw new FaultError(
      telling === undefined ? 'away' : faultOf(telling),
      `no Sentinel says where the primary is: ${telling?.message}`,
    );
  }

  private async askOne(place: HostPort): Promise<HostPort> {
    const node = new RedisNode({
      plan: this.plan,
      role: 'sentinel',
      blockMs: 0,
      database: 0,
      budget: this.budget,
      find: () => place,
      ready: () => {},
      closed: () => {},
      failed: () => {},
    });
    try {
      await node.untilUsable(this.plan.connectTimeoutMs + this.plan.commandTimeoutMs);
      const reply = await node.ask((redis) => redis.call('SENTINEL', 'get-master-addr-by-name', this.master));
      const found = Array.isArray(reply) ? hostPortOf(reply[0], reply[1]) : undefined;
      if (found === undefined) {
        const why =
          reply === null ? `knows no primary called ${this.master}` : 'names a primary without an address';
        throw new FaultError(reply === null ? 'away' : 'protocol', `Sentinel ${placeText(place)} ${why}`);
      }
      await node
        .ask((redis) => redis.call('SENTINEL', 'sentinels', this.master))
        .then(
          (others) => this.learn(others),
          () => {}, // It said what it was asked for; the others are asked if that does not hold.
        );
      return found;
    } finally {
      node.close();
    }
  }

  /** Its reply lists, for each Sentinel it knows, names and values by turns. */
  private learn(others: unknown): void {
    if (!Array.isArray(others)) return;
    for (const fields of others) {
      if (!Array.isArray(fields)) continue;
      const value = (name: string): unknown => {
        const index = fields.indexOf(name);
        return index < 0 ? undefined : fields[index + 1];
      };
      const place = hostPortOf(value('ip'), value('port'));
      if (place === undefined || String(value('flags')).includes('disconnected')) continue;
      const isKnown = this.places.some(({ host, port }) => host === place.host && port === place.port);
      if (!isKnown && this.places.length < this.placesMax) this.places = [...this.places, place];
    }
  }
}
