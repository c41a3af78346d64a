/**
 * What the checks room has to tell and control has not taken yet. Nothing is told twice by itself, so nothing may be lost: when
 * control is behind, the newest word on each check and each name is kept until it takes messages again.
 */
import type { RoomPost } from '../rooms/serve.ts';
import type { CheckFacts, CheckVerdict, MessageFromChecks } from './messages-from-checks.ts';
import type { RecordAnswer } from './records.ts';
import type { Ip } from './resolve.ts';

/** Until the next try, when control is behind. */
const againMs = 100;
/** What only people want to know is told so often. */
const factsEveryMs = 500;

export class Outbox {
  private readonly post: RoomPost<MessageFromChecks>;
  private readonly verdicts = new Map<number, CheckVerdict>();
  private readonly facts = new Map<number, CheckFacts>();
  private readonly resolved = new Map<string, Ip>();
  private readonly records = new Map<string, RecordAnswer>();
  private isDue = false;

  constructor(post: RoomPost<MessageFromChecks>) {
    this.post = post;
  }

  verdict(id: number, verdict: CheckVerdict): void {
    this.verdicts.set(id, verdict);
    this.tellSoon();
  }

  checked(id: number, facts: CheckFacts): void {
    if (this.facts.size === 0) setTimeout(() => this.tellSoon(), factsEveryMs);
    this.facts.set(id, facts);
  }

  answer(host: string, ip: Ip): void {
    this.resolved.set(host, ip);
    this.tellSoon();
  }

  found(key: string, answer: RecordAnswer): void {
    this.records.set(key, answer);
    this.tellSoon();
  }

  /** Nobody wants to know of it any more. */
  forget(id: number): void {
    this.verdicts.delete(id);
    this.facts.delete(id);
  }

  /** What this turn of the loop brings goes in one message. */
  private tellSoon(): void {
    if (this.isDue) return;
    this.isDue = true;
    setImmediate(() => this.tell());
  }

  private tell(): void {
    this.isDue = false;
    const verdicts = [...this.verdicts].map(([id, verdict]) => ({ id, verdict }));
    const facts = [...this.facts].map(([id, one]) => ({ id, facts: one }));
    const resolved = [...this.resolved].map(([host, ip]) => ({ host, ip }));
    const found = [...this.records].map(([key, answer]) => ({ key, answer }));
    if (verdicts.length + facts.length + resolved.length + found.length === 0) return;
    if (!this.post({ type: 'news', verdicts, facts, resolved, found })) {
      this.isDue = true;
      setTimeout(() => this.tell(), againMs);
      return;
    }
    this.verdicts.clear();
    this.facts.clear();
    this.resolved.clear();
    this.records.clear();
  }
}
