/**
 * The open flows of one worker: a dense array, so adding, removing and walking cost the same for one flow and
 * for a hundred thousand. Walks are done in slices; a flow removed behind the cursor's back is swapped with the
 * last one, so a slice may miss one that moved. The next round sees it.
 */
import type { Flow } from '../core/flow.ts';

export class FlowRegistry {
  private readonly flows: Flow[] = [];
  private cursor = 0;

  get size(): number {
    return this.flows.length;
  }

  add(flow: Flow): void {
    flow.registryIndex = this.flows.length;
    this.flows.push(flow);
  }

  remove(flow: Flow): void {
    const last = this.flows.pop();
    if (last !== undefined && last !== flow) {
      this.flows[flow.registryIndex] = last;
      last.registryIndex = flow.registryIndex;
    }
    flow.registryIndex = -1;
  }

  has(flow: Flow): boolean {
    return flow.registryIndex >= 0;
  }

  /** Those that are open now; the array is the caller's. */
  all(): Flow[] {
    return this.flows.slice();
  }

  /** Flows for which `matches` says yes, at most `most`. */
  select(matches: (flow: Flow) => boolean, most: number): Flow[] {
    const selected: Flow[] = [];
    for (const flow of this.flows) {
      if (selected.length >= most) break;
      if (matches(flow)) selected.push(flow);
    }
    return selected;
  }

  /** Visits the next `count` flows, going round; none twice in one call. */
  visitSlice(count: number, visit: (flow: Flow) => void): void {
    for (let left = Math.min(count, this.flows.length); left > 0; left--) {
      if (this.cursor >= this.flows.length) this.cursor = 0;
      visit(this.flows[this.cursor++]!);
    }
  }
}
