/** Where backends are found, by the name it has in the file. */
import { dns } from './dns.ts';
import { file } from './file.ts';
import type { SourceKind } from './source.ts';

export const sources: Readonly<Record<string, SourceKind>> = { dns, file };

/** By a name that came from a plan. */
export function sourceOf(name: string): SourceKind | undefined {
  return Object.hasOwn(sources, name) ? sources[name] : undefined;
}
