/** The dialects that health checks speak, by the name they have in the file. `none` is no dialect: nobody asks. */
import type { Dialect } from './dialect.ts';
import { tcp } from './dialects/tcp.ts';

export const dialects = { tcp } as const satisfies Readonly<Record<string, Dialect>>;

export type DialectName = keyof typeof dialects;

/** By a name that came from a plan. */
export function dialectOf(name: string): Dialect | undefined {
  return Object.hasOwn(dialects, name) ? dialects[name as DialectName] : undefined;
}
