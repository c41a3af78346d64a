/**
 * What the front room shows: control's view of itself, and what is known beside it. Plain data, made when a page asks for it. What
 * changes from flow to flow is not in here but in shared memory, which the room reads by itself.
 */
import type { ReloadStatus } from '../control/reload-tally.ts';
import type { ControlView } from '../control/view.ts';
import type { Snapshot } from '../core/snapshot.ts';
import type { NamesTable } from '../pins/names-table.ts';
import type { ToldBackends } from './told-backends.ts';

export interface FrontState extends ControlView {
  readonly logLinesDropped: number;
  readonly reloads: ReloadStatus;
  /** This instance among the others; its host without a cluster. */
  readonly instance: string;
  /** Keys of the configuration that wait for a restart. */
  readonly pendingRestart: readonly string[];
  readonly published: Published;
}

/** What the workers know: as large as the configuration, so it is sent when it is another one. */
export interface Published {
  /** Grows with each one; 0: nothing is published yet. */
  readonly generation: number;
  readonly snapshot: Snapshot | undefined;
  readonly names: NamesTable;
}

/** A state as it is sent: without what the room has already. */
export interface SentState extends Omit<FrontState, 'published' | 'backends'> {
  readonly backends: ToldBackends;
  /** undefined: as the asker has it. */
  readonly published: Published | undefined;
}
