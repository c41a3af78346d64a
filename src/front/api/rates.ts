/**
 * How fast things happen: the only place where rates are computed. The workers' counters only grow; they are read once a second, as far
 * as names are known, and what they were one and ten seconds ago is kept. The counting of flows costs nothing for it.
 *
 *    counters --every second--> samples (11) --difference / time between them--> rates
 *             --every 10 s----> flows opened (7) --------------------------------> share of the last minute
 *
 * It does not promise the time between two samples: a thread that is busy takes one later, so each has its own time.
 */
import type { BackendCounter, Counters, ListenerCounter } from '../../core/counters.ts';
import type { Rate, Rates } from './shapes.ts';

/** In the order of {@link rateOf}. Of backends the last one is what failed. */
const listenerFields = [
  'opened',
  'bytesIn',
  'bytesOut',
  'datagramsIn',
  'datagramsOut',
  'refused',
] as const satisfies readonly ListenerCounter[];
const backendFields = [
  'opened',
  'bytesIn',
  'bytesOut',
  'datagramsIn',
  'datagramsOut',
  'dialFailures',
] as const satisfies readonly BackendCounter[];

type Kind = 'listener' | 'backend';

/** What the counters were: a row of {@link fieldCount} for each number. There may be thousands, and eleven samples of them. */
interface Counted {
  readonly ids: readonly number[];
  /** The row of each; of all samples the same while the numbers are. */
  readonly rowOf: ReadonlyMap<number, number>;
  readonly words: Float64Array;
}

interface Sample {
  readonly atMs: number;
  readonly listener: Counted;
  readonly backend: Counted;
}

/** What there is now, by row number. */
export interface Rows {
  readonly listeners: readonly number[];
  readonly backends: readonly number[];
}

const fieldCount = listenerFields.length;
const openedField = 0;
const samplesKept = 11;
const minuteSamplesKept = 7;
const minuteStepMs = 10_000;

export class RateWatch {
  private readonly counters: Pick<Counters, 'listener' | 'backend'>;
  private readonly nowMs: () => number;
  /** The newest at the end. */
  private samples: Sample[] = [];
  private minute: { readonly atMs: number; readonly backend: Counted }[] = [];

  /** Of what is being added up. */
  private readonly sum = new Float64Array(fieldCount);

  /** @param nowMs a clock that only goes forward */
  constructor(counters: Pick<Counters, 'listener' | 'backend'>, nowMs: () => number) {
    this.counters = counters;
    this.nowMs = nowMs;
  }

  /** To be called once a second. */
  sample({ listeners, backends }: Rows): void {
    const { counters } = this;
    const atMs = this.nowMs();
    const before = this.samples.at(-1);
    const backend = counted(backends, before?.backend, backendFields, (id, field) =>
      counters.backend(id, field),
    );
    this.samples.push({
      atMs,
      listener: counted(listeners, before?.listener, listenerFields, (id, field) =>
        counters.listener(id, field),
      ),
      backend,
    });
    if (this.samples.length > samplesKept) this.samples.shift();
    if (atMs - (this.minute.at(-1)?.atMs ?? Number.NEGATIVE_INFINITY) < minuteStepMs) return;
    this.minute.push({ atMs, backend });
    if (this.minute.length > minuteSamplesKept) this.minute.shift();
  }

  listener(id: number): Rates {
    return this.rates('listener', [id]);
  }

  /** Of several together, too: a pool's are the sum of its backends'. */
  backend(...ids: readonly number[]): Rates {
    return this.rates('backend', ids);
  }

  /** All listeners together. */
  all(ids: readonly number[]): Rates {
    return this.rates('listener', ids);
  }

  /** Flows opened at a backend within the last minute (of the time there is). */
  openedInMinute(id: number): number {
    const first = this.minute[0]?.backend;
    const row = first?.rowOf.get(id);
    const before = row === undefined ? 0 : first!.words[row + openedField]!;
    return Math.max(0, this.counters.backend(id, 'opened') - before);
  }

  private rates(kind: Kind, ids: readonly number[]): Rates {
    return { last1s: this.between(kind, ids, 1), last10s: this.between(kind, ids, samplesKept - 1) };
  }

  private between(kind: Kind, ids: readonly number[], back: number): Rate {
    const last = this.samples.at(-1);
    const first = this.samples.at(-1 - back) ?? this.samples[0];
    if (last === undefined || first === undefined || last.atMs <= first.atMs) return rateOf(noDifference, 1);
    const sum = this.sum.fill(0);
    for (const id of ids) {
      const row = last[kind].rowOf.get(id);
      if (row === undefined) continue;
      const before = first[kind].rowOf.get(id);
      // One that was not there then began at nothing; but a row that was known before this thread began has a history.
      if (before === undefined) continue;
      for (let i = 0; i < fieldCount; i++)
        sum[i]! += last[kind].words[row + i]! - first[kind].words[before + i]!;
    }
    return rateOf(sum, (last.atMs - first.atMs) / 1_000);
  }
}

const noDifference = new Float64Array(fieldCount);

/** @param before the sample before it */
function counted<Field>(
  ids: readonly number[],
  before: Counted | undefined,
  fields: readonly Field[],
  read: (id: number, field: Field) => number,
): Counted {
  const words = new Float64Array(ids.length * fieldCount);
  for (let row = 0, at = 0; row < ids.length; row++)
    for (const field of fields) words[at++] = read(ids[row]!, field);
  if (before !== undefined && before.ids.length === ids.length && ids.every((id, i) => id === before.ids[i]))
    return { ids: before.ids, rowOf: before.rowOf, words };
  return { ids, rowOf: new Map(ids.map((id, row) => [id, row * fieldCount])), words };
}

function rateOf(difference: Float64Array, seconds: number): Rate {
  const perS = (i: number): number => Math.round((difference[i]! / seconds) * 10) / 10;
  return {
    newFlowsPerS: perS(0),
    bytesInPerS: perS(1),
    bytesOutPerS: perS(2),
    datagramsInPerS: perS(3),
    datagramsOutPerS: perS(4),
    refusedPerS: perS(5),
  };
}
