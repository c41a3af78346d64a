/**
 * What the checks room has to tell and control has not taken yet. Nothing is told twice by itself, so nothing may be lost: when
 * control is behind, the newest word on each check and each name is kept until it takes messages again.
 */
import type { RoomPost } from '../rooms/serve.ts';
import type { MessageFromChecks, Verdict } from './messages-from-checks.ts';
import type { Ip } from './resolve.ts';

/** Until the next try, when control is behind. */
const againMs = 100;

export class Outbox {
  private readonly post: RoomPost<MessageFromChecks>;
  private verdicts = new Map<number, Verdict>();
  private resolved = new Map<string, Ip>();
  private isDue = false;

  constructor(post: RoomPost<MessageFromChecks>) {
    this.post = post;
  }

  verdict(verdict: Verdict): void {
    this.verdicts.set(verdict.id, verdict);
    this.tellSoon();
  }

  answer(host: string, ip: Ip): void {
    this.resolved.set(host, ip);
    this.tellSoon();
  }

  /** Nobody wants to know of it any more. */
  forget(id: number): void {
    this.verdicts.delete(id);
  }

  /** What this turn of the loop brings goes in one message. */
  private tellSoon(): void {
    if (this.isDue) return;
    this.isDue = true;
    setImmediate(() => this.tell());
  }

  private tell(): void {
    this.isDue = false;
    const verdicts = [...this.verdicts.values()];
    const resolved = [...this.resolved].map(([host, ip]) => ({ host, ip }));
    if (verdicts.length + resolved.length === 0) return;
    if (!this.post({ type: 'news', verdicts, resolved })) {
      this.isDue = true;
      setTimeout(() => this.tell(), againMs);
      return;
    }
    this.verdicts.clear();
    this.resolved.clear();
  }
}
