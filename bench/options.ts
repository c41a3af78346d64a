/** The command line of `npm run bench`. */
import { parseArgs } from 'node:util';
import { peers as allPeers, extraKernelPeers, extraPeers, kernelPeers, otherBuild } from './peers.ts';
import type { Peer, Work } from './work.ts';
import { allWorks, kernelWorks, selectWorks } from './works.ts';

export interface BenchOptions {
  readonly works: readonly Work[];
  readonly peers: readonly Peer[];
  /** Client, relay and backend on hosts of their own, and with relays that are in the kernel. */
  readonly kernel: boolean;
  readonly rounds: number;
  readonly seconds: number;
  readonly write: boolean;
  readonly json: string | undefined;
}

const roundsMax = 15;
const secondsMax = 30;

export function usage(): string {
  return `usage: npm run bench -- [options]
  --only WORK,...   ${allWorks()
    .map((work) => work.name)
    .join(', ')} (udp is both)
  --peers NAME,...  ${[...allPeers, ...extraPeers].map((peer) => peer.name).join(', ')}
  --other DIR       the build of another checkout beside this one's epoll engine; it takes the rivals' place
  --kernel          client, relay and backend on hosts of their own (network namespaces; needs root), with relays
                    of the kernel. Works: ${kernelWorks()
                      .map((work) => work.name)
                      .join(', ')}
                    Peers: ${[...kernelPeers, ...extraKernelPeers].map((peer) => peer.name).join(', ')}
  --rounds N        alternating rounds, 1 to ${roundsMax} (5)
  --seconds N       measured part of one run, 1 to ${secondsMax} (3)
  --json FILE       every sample, as JSON
  --write           rewrite the table of this suite in README.md and docs/BENCHMARKS.md (whole runs only)`;
}

function wholeNumber(name: string, text: string | undefined, fallback: number, max: number): number {
  const value = text === undefined ? fallback : Number(text);
  if (!Number.isInteger(value) || value < 1 || value > max) throw new Error(`--${name} takes 1 to ${max}`);
  return value;
}

function selectPeers(names: readonly string[] | undefined, kernel: boolean): readonly Peer[] {
  const usual = kernel ? kernelPeers : allPeers;
  if (names === undefined) return usual;
  const known = [...usual, ...(kernel ? extraKernelPeers : extraPeers)];
  const unknown = names.find((name) => !known.some((peer) => peer.name === name));
  if (unknown !== undefined) throw new Error(`no peer is called ${unknown}`);
  return known.filter((peer) => names.includes(peer.name));
}

/** Throws with a message for people when an argument is wrong; undefined for --help. */
export function readOptions(args: readonly string[]): BenchOptions | undefined {
  const text = { type: 'string' } as const;
  const flag = { type: 'boolean', default: false } as const;
  const { values } = parseArgs({
    args: [...args],
    options: {
      only: text,
      peers: text,
      other: text,
      rounds: text,
      seconds: text,
      json: text,
      write: flag,
      kernel: flag,
      help: flag,
    },
  });
  if (values.help) return undefined;
  if (values.write && (values.only !== undefined || values.peers !== undefined)) {
    throw new Error('--write takes whole runs only: figures of different runs must not share a table');
  }
  const { other, kernel } = values;
  if (other !== undefined && (values.write || kernel || values.peers !== undefined)) {
    throw new Error('--other compares two builds: it goes with none of --write, --peers and --kernel');
  }
  return {
    works: selectWorks(kernel ? kernelWorks() : allWorks(), values.only?.split(',')),
    peers:
      other === undefined
        ? selectPeers(values.peers?.split(','), kernel)
        : [otherBuild(other), ...selectPeers(['pinion-epoll'], false)],
    kernel,
    rounds: wholeNumber('rounds', values.rounds, 5, roundsMax),
    seconds: wholeNumber('seconds', values.seconds, 3, secondsMax),
    write: values.write,
    json: values.json,
  };
}
