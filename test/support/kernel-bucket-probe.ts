/**
 * Runs in a network namespace of its own: sends datagrams from random addresses, lets the kernel write down the bucket it computes for each,
 * and compares with ours. Argument: how many addresses of each family. Prints a line of JSON for each way of hashing.
 */
import { Address } from '../../src/core/address.ts';
import { turnWord } from '../../src/core/jhash.ts';
import { type KernelBuckets, kernelBucket, kernelBucketExpression } from '../../src/core/kernel-bucket.ts';
import { Arena } from '../../src/linux/arena.ts';
import { AF_INET, AF_INET6, SOCK_DGRAM } from '../../src/linux/constants.ts';
import { bind, close, type Descriptor, socket } from '../../src/linux/libc.ts';
import { MessageBatch } from '../../src/linux/message-batch.ts';
import { openNft } from '../../src/linux/nft.ts';
import { nextRandom } from '../../src/wire/mutations.fixture.ts';
import { encodeAddress } from '../../src/wire/sockaddr.ts';

export interface ProbeResult {
  readonly family: 4 | 6;
  readonly key: string;
  /** Addresses the kernel has written down. */
  readonly asked: number;
  /** Those it put into another bucket than we do. */
  readonly differ: number;
}

const count = Number(process.argv[2]);
const ways: readonly KernelBuckets[] = [
  { key: 'client-ip', prefixV4: 24, prefixV6: 48, seed: 0x1234, modulus: 65_537 },
  { key: 'client-subnet', prefixV4: 20, prefixV6: 52, seed: 0xdeadbeef, modulus: 65_537 },
  { key: 'flow', prefixV4: 24, prefixV6: 48, seed: 1, modulus: 4_194_301 },
];
const port = 9;
/** Clients of one address and port after another: from so many sockets. */
const sockets = 8;
const batch = 64;
let state = 20_261_129;
const random = (): number => {
  state = nextRandom(state);
  return state;
};

function randomAddress(family: 4 | 6): Address {
  // What may be a source: no networks for special use, which routing refuses.
  if (family === 4) return Address.v4((((random() % 100) + 11) << 24) | (random() & 0xffffff), 0);
  return new Address(0x20000000 | (random() & 0x1fffffff), random(), random(), random(), 0);
}

function tableText(family: 4 | 6): string {
  const address = family === 4 ? 'ip' : 'ip6';
  const type = family === 4 ? 'ipv4_addr' : 'ipv6_addr';
  const size = count * 2;
  const rules = ways.map(
    (way, i) =>
      `udp dport ${port} meta mark set ${kernelBucketExpression(family, 'udp', way)} add @seen${i} { ${address} saddr . udp sport . meta mark };`,
  );
  const sets = ways.map(
    (_, i) => `set seen${i} { type ${type} . inet_service . mark; size ${size}; flags dynamic; }`,
  );
  return `table ${address} probe {\n${sets.join('\n')}\nchain output { type filter hook output priority 0;\n${rules.join('\n')}\n}\n}\n`;
}

/** One datagram from each of so many addresses, of ports that the kernel gives the sockets. */
function send(family: 4 | 6): void {
  const name = new Arena(64).cut(64);
  const local = family === 4 ? Address.v4(0, 0) : new Address(0, 0, 0, 0, 0);
  const target = Address.parse(family === 4 ? '127.0.0.1' : '::1', port)!;
  const messages = new MessageBatch(batch);
  messages.useControl(true);
  for (let one = 0; one < sockets; one++) {
    const descriptor = socket(family === 4 ? AF_INET : AF_INET6, SOCK_DGRAM) as Descriptor;
    bind(descriptor, name, encodeAddress(local, name.view, 0, family));
    for (let left = Math.ceil(count / sockets); left > 0; left -= batch) {
      const most = Math.min(left, batch);
      for (let i = 0; i < most; i++) {
        const from = randomAddress(family);
        const length = encodeAddress(target, messages.names.view, messages.nameWord(i) * 4, family);
        messages.prepare(i, length, 1);
        if (family === 4) messages.leaveFromV4(i, turnWord(from.w3));
        else messages.leaveFromV6(i, Int32Array.of(from.w0, from.w1, from.w2, from.w3).map(turnWord), 0, 0);
      }
      for (let sent = 0; sent < most; ) {
        const more = messages.send(descriptor, sent, most);
        if (more < 0) throw new Error(`sendmmsg: ${more}`);
        sent += more;
      }
    }
    close(descriptor);
  }
}

interface Listed {
  readonly nftables: readonly {
    readonly set?: { readonly name: string; readonly elem?: readonly ListedElement[] };
  }[];
}
type Parts = { readonly concat: readonly [string, number | string, number] };
type ListedElement = Parts | { readonly elem: { readonly val: Parts } };

function compare(family: 4 | 6, listed: Listed): void {
  for (const [i, way] of ways.entries()) {
    const elements = listed.nftables.find(({ set }) => set?.name === `seen${i}`)?.set?.elem ?? [];
    let differ = 0;
    for (const element of elements) {
      const [ip, clientPort, mark] = ('elem' in element ? element.elem.val : element).concat;
      const client = Address.parse(ip, Number(clientPort))!;
      if (kernelBucket(client, way) !== mark) differ++;
    }
    const result: ProbeResult = { family, key: String(way.key), asked: elements.length, differ };
    process.stdout.write(`${JSON.stringify(result)}\n`);
  }
}

const nft = openNft();
if (nft === undefined) throw new Error('neither libnftables nor nft is installed');
for (const family of [4, 6] as const) {
  const made = await nft.run(tableText(family));
  if (!made.ok) throw new Error(made.error);
  send(family);
  const listed = await nft.list(`list table ${family === 4 ? 'ip' : 'ip6'} probe`);
  if (!listed.ok) throw new Error(listed.error);
  compare(family, JSON.parse(listed.output) as Listed);
}
nft.close();
