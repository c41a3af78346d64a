/**
 * Who is missing from one answer need not be gone: its words may be in the other half of a slot that moves, or its lease ran
 * out while Redis answered nobody. So what it said last counts until a lease's worth of answers came without it.
 */
import { membersAnswerBytesMax, membersMax } from '../core/limits.ts';
import type { MemberRow } from './store.ts';

interface LastSaid {
  readonly row: MemberRow;
  readonly answersWithout: number;
}

export class LateMembers {
  private readonly answersMax: number;
  private said = new Map<string, LastSaid>();

  /** @param answersMax who is missing from so many in a row is gone */
  constructor(answersMax: number) {
    this.answersMax = answersMax;
  }

  /** The rows of an answer, and those that are late: as many as an answer may have in all. */
  complete(rows: readonly MemberRow[]): readonly MemberRow[] {
    const before = this.said;
    this.said = new Map(rows.slice(0, membersMax).map((row) => [row.instance, { row, answersWithout: 0 }]));
    let room = membersAnswerBytesMax;
    for (const { row } of this.said.values()) room -= lengthOf(row);
    const late: MemberRow[] = [];
    for (const [instance, { row, answersWithout }] of before) {
      if (this.said.has(instance) || answersWithout + 1 >= this.answersMax) continue;
      room -= lengthOf(row);
      if (room < 0 || this.said.size >= membersMax) break;
      this.said.set(instance, { row, answersWithout: answersWithout + 1 });
      late.push(row);
    }
    return [...rows, ...late];
  }
}

function lengthOf({ member, counts }: MemberRow): number {
  return member.length + counts.length;
}
