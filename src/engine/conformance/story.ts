/**
 * A story: one named behaviour of an engine, told on real sockets. The name is what a runner skips it by.
 */
import type { Stage, StageOptions } from './stage.ts';

export interface Story {
  readonly name: string;
  readonly options: StageOptions;
  run(stage: Stage): Promise<void>;
}

/** One story. `options` say how the engine is started: limits, or the command its process is wrapped in. */
export function story(name: string, run: (stage: Stage) => Promise<void>, options: StageOptions = {}): Story {
  return { name, options, run };
}
