/** What an instance tells of its counts: a list of rows of several kinds, of which each reader takes its own. May be anybody's text. */
import { memberCountsBytesMax } from '../core/limits.ts';

/** The rows, unread; none of a text that is too long or no list. */
export function rowsOfCounts(text: string): readonly unknown[] {
  if (text.length > memberCountsBytesMax) return [];
  try {
    const raw: unknown = JSON.parse(text);
    return Array.isArray(raw) ? raw : [];
  } catch {
    return [];
  }
}
