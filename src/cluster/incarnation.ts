/** What tells one run of an instance from another one of the same name: random, and part of what it writes to Redis. */
import { randomBytes } from 'node:crypto';

export function newIncarnation(): string {
  return randomBytes(8).toString('hex');
}
