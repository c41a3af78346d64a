/**
 * What a source of backends is: a name in the file, options of its own, and one function that begins to look and says again
 * and again what it has found. What follows from that (keeping the last list, telling, the way of a reload) is discovery.ts's
 * business.
 *
 * A new one is a file beside this one and a row in sources.ts.
 */
import type { RecordAnswer, RecordQuestion } from '../../checks/records.ts';
import type { Options, OptionValues, Reading } from '../../core/options.ts';
import type { BackendPlan } from '../../core/plan.ts';

/** What sources look with. */
export interface Means {
  /** Reads a list of backends as the configuration has it; what it refuses says where and why. Blocks. */
  readonly readList: (path: string) => Reading<readonly BackendPlan[]>;
  /** All records of a name, from the checks room, which reads what name servers send. Never rejects; may take many seconds. */
  readonly ask: (question: RecordQuestion) => Promise<RecordAnswer>;
}

export interface Looking<O extends Options> {
  readonly options: OptionValues<O>;
  readonly means: Means;
  /**
   * After each look. A backend keeps its name for as long as it is the same server, whatever order the answer had.
   * @param backends all there are now; undefined: nobody knows, those of before stay
   * @param fault what went wrong, a sentence without its subject; with a list: this part of it is missing
   */
  readonly tell: (backends: readonly BackendPlan[] | undefined, fault?: string) => void;
}

export interface Source {
  /** It tells nothing any more. */
  stop(): void;
}

export interface SourceKind<O extends Options = Options> {
  /** Where it looks, for the reference: one sentence without its end. */
  readonly meaning: string;
  readonly options: O;
  /** What is wrong with options that are right each by itself: the key it is about, and a sentence. */
  problem?(options: OptionValues<O>): { readonly key: string; readonly message: string } | undefined;
  /** Where it looks, for people: `/etc/pinion/arena.yaml`. */
  place(options: OptionValues<O>): string;
  /** Looks at once, and again when it thinks best. */
  start(looking: Looking<O>): Source;
}

/** Types a kind of source by its options. */
export function sourceKind<const O extends Options>(definition: SourceKind<O>): SourceKind<O> {
  return definition;
}
