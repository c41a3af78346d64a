/**
 * What the benchmark measures, as data: a work has a backend, a way to load one relay once, and the measures
 * one run yields. Rounds, medians and ratios are not its business (rounds.ts).
 */
import type { Transport } from '../test/support/ports.ts';

export interface Target {
  readonly host: string;
  readonly port: number;
}

/** Something started that can be reached and stopped. */
export interface Service extends Target {
  /** The process the CPU and memory are charged to; undefined where nothing stands between. */
  readonly pid: number | undefined;
  stop(): Promise<void>;
}

/** Where a part runs: the address its servers listen at, and what its command lines begin with (`ip netns exec ...`). */
export interface Place {
  readonly host: string;
  readonly wrapper: readonly string[];
}

/** Clients have addresses of their own, the first of a row. */
export interface Places {
  readonly clients: Place & { readonly addresses: number };
  readonly relay: Place;
  readonly backend: Place;
}

const here: Place = { host: '127.0.0.1', wrapper: [] };
/** Everything on the loopback of this machine; clients at another address than servers. */
export const loopback: Places = {
  clients: { host: '127.0.0.2', wrapper: [], addresses: 1 },
  relay: here,
  backend: here,
};

export interface RelayOptions {
  readonly transport: Transport;
  readonly backend: Target;
  readonly place: Place;
  readonly core: number | undefined;
  /** Open flows it must be able to hold. */
  readonly flowsMax: number;
}

/** A way to get from a client to the backend. */
export interface Peer {
  readonly name: string;
  /** Column heading. */
  readonly title: string;
  /** `rival` is what pinion is compared with, `direct` is no relay at all, `reference` stands beside. */
  readonly role: 'direct' | 'rival' | 'reference' | 'pinion';
  readonly transports: readonly Transport[];
  /** It is in the way of all others while it is there (rules of the kernel): started for each run, stopped after it. */
  readonly alone?: boolean;
  /** Rejects with a reason for people when it cannot start here. */
  start(options: RelayOptions): Promise<Service>;
}

/** Where the parts run. Undefined: not pinned, because the machine has one core only. */
export interface Cores {
  readonly relay: number | undefined;
  readonly load: number | undefined;
}

export interface BenchSettings {
  readonly cores: Cores;
  readonly places: Places;
  /** The measured part of one run. */
  readonly measureMs: number;
  readonly warmMs: number;
}

export interface Measure {
  readonly key: string;
  readonly title: string;
  readonly better: 'lower' | 'higher';
  readonly decimals: number;
}

/** One run of one relay: a value per measure; absent where it has no meaning (CPU of no relay). */
export type Sample = Readonly<Record<string, number | undefined>>;

/** One peer in one work, started. */
export interface Subject {
  readonly peer: Peer;
  readonly relay: Service;
}

export interface Work {
  /** `--only` takes it, or the part before a dash. */
  readonly name: string;
  /** What is done, for the table. */
  readonly title: string;
  readonly transport: Transport;
  readonly flowsMax: number;
  readonly measures: readonly Measure[];
  /** Start the relay anew for every run: memory of a used one says nothing. */
  readonly freshRelay?: boolean;
  startBackend(settings: BenchSettings): Promise<Service>;
  /** Once, before the rounds: checks, or what all runs must share. Rejects with what is wrong. */
  prepare?(subject: Subject, settings: BenchSettings): Promise<void>;
  run(subject: Subject, settings: BenchSettings): Promise<Sample>;
}
