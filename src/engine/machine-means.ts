/**
 * How an engine finds out what the machine lets it do: the very calls it will make, on a socket that is thrown away at once. Nobody can
 * meet such a socket: it never listens and sends nothing. It runs in the thread that starts the workers, which have its rights.
 */
import type { Bind, Protocol } from '../core/plan.ts';

/** Undefined: it can be done. Else the errno's name: EPERM, ENODEV, EADDRNOTAVAIL. */
type Answer = string | undefined | Promise<string | undefined>;

export interface MachineMeans {
  /** A dial passes over a source address that is not there. */
  readonly triesAllSources: boolean;
  transparent(): Answer;
  mark(mark: number): Answer;
  device(name: string): Answer;
  /** Can a dial leave from this literal IP, and by this device? */
  source(ip: string, device: string | undefined): Answer;
  /** May the address be bound, on its device? One that somebody has may; of a device that is not there `device` tells. */
  bind(protocol: Protocol, bind: Extract<Bind, { kind: 'inet' }>): Answer;
}
