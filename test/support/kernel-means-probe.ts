/**
 * Runs in a network namespace of its own, where it may do to the kernel what it likes: one story of what src/linux/netlink.ts and
 * src/linux/nft.ts promise. Argument: the story's name. Ends with status 0 if all of it held.
 */
import assert from 'node:assert/strict';
import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import { writeFileSync } from 'node:fs';
import { type AddressInfo, connect, createServer, type Socket } from 'node:net';
import { type NetlinkOptions, NetlinkSocket } from '../../src/linux/netlink.ts';
import { type Nft, openNft, openNftCommand, openNftLibrary } from '../../src/linux/nft.ts';
import {
  type ConntrackEntry,
  conntrackGroup,
  conntrackStatus,
  decodeConntrack,
  encodeDelete,
  encodeDeleteByMark,
  encodeDump,
  encodeGet,
  tcpState,
  writeDeletes,
} from '../../src/wire/conntrack.ts';
import { conntrackFilter } from '../../src/wire/conntrack-filter.ts';
import { MessageWriter } from '../../src/wire/netlink.ts';

const allEvents = [conntrackGroup.new, conntrackGroup.update, conntrackGroup.destroy];
const tracked = `table inet probe {
  chain output { type filter hook output priority 0;
    tcp dport 1-65535 ct state new ct mark set 0x11000001;
    udp dport 1-65535 ct state new ct mark set 0x12000001;
  }
}
`;

async function run(text: string): Promise<void> {
  const nft = openNft()!;
  const result = await nft.run(text);
  assert.ok(result.ok, JSON.stringify(result));
  nft.close();
}

function open(options?: NetlinkOptions): NetlinkSocket {
  const made = NetlinkSocket.open(options);
  assert.ok(typeof made === 'object', String(made));
  return made;
}

/** Reads all that is there. @returns whether events were lost */
function readInto(entries: ConntrackEntry[], socket: NetlinkSocket): boolean {
  let lost = false;
  for (;;) {
    const received = socket.receive((message) => {
      const entry = decodeConntrack(message);
      if (entry !== undefined) entries.push(entry);
    });
    if (received === 'empty') return lost;
    if (received === 'overrun') lost = true;
    else assert.equal(received, 'more');
  }
}

function dump(socket: NetlinkSocket, mark?: { mark: number; mask: number }): ConntrackEntry[] {
  const entries: ConntrackEntry[] = [];
  assert.equal(
    socket.startDump((sequence) => encodeDump(sequence, mark)),
    0,
  );
  for (;;) {
    const dumped = socket.continueDump((message) => {
      const entry = decodeConntrack(message);
      if (entry !== undefined) entries.push(entry);
    });
    if (dumped === 'done') return entries;
    assert.equal(dumped, 'more');
  }
}

/** An open connection to a server of ours that has answered once. */
async function connected(host: string): Promise<{ client: Socket; port: number; clientPort: number }> {
  const server = createServer((socket) => socket.pipe(socket)).listen(0, host);
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  const client = connect(port, host);
  await once(client, 'connect');
  client.write('x'.repeat(100));
  await once(client, 'data');
  return { client, port, clientPort: client.localPort! };
}

/** So many UDP conversations with nobody. */
async function speak(count: number): Promise<void> {
  for (let i = 0; i < count; i++) {
    const socket = createSocket('udp4');
    await new Promise<void>((resolve) => socket.send('x', 9, '127.0.0.1', () => resolve()));
    socket.close();
  }
}

const stories: Readonly<Record<string, () => Promise<void>>> = {
  async events() {
    await run(tracked);
    writeFileSync('/proc/sys/net/netfilter/nf_conntrack_acct', '1');
    const socket = open({ groups: allEvents, receiveBufferBytes: 8 * 1024 * 1024 });
    assert.equal(socket.receiveBufferBytes, 16 * 1024 * 1024);
    const requests = open();
    const entries: ConntrackEntry[] = [];
    for (const [host, family] of [
      ['127.0.0.1', 4],
      ['::1', 6],
    ] as const) {
      const { port, clientPort } = await connected(host);
      const isIt = (entry: ConntrackEntry): boolean =>
        entry.original.source.port === clientPort && entry.original.destination.port === port;
      readInto(entries, socket);
      const [begun, ...later] = entries.filter(isIt);
      assert.deepEqual([begun?.event, begun?.mark, begun?.protocol], ['new', 0x11000001, 'tcp']);
      assert.equal(begun?.original.source.family, family);
      assert.deepEqual([begun?.reply.source.port, begun?.reply.destination.port], [port, clientPort]);
      const last = later.at(-1);
      assert.deepEqual([last?.event, last?.id, last?.tcpState], ['update', begun?.id, tcpState.established]);
      assert.ok((last!.status & conntrackStatus.assured) !== 0);

      const listed = dump(requests, { mark: 0x11000000, mask: 0xff000000 }).filter(isIt);
      assert.equal(listed.length, 1);
      assert.ok(listed[0]!.originalCounters!.bytes >= 100 && listed[0]!.replyCounters!.packets >= 2);
      assert.ok(listed[0]!.timeoutS! > 60);
      assert.deepEqual(dump(requests, { mark: 0x12000000, mask: 0xff000000 }).filter(isIt), []);

      const another = { ...begun!, id: begun!.id ^ 1 };
      assert.equal(requests.request((sequence) => encodeDelete(sequence, another)).errno, 2);
      assert.equal(requests.request((sequence) => encodeDelete(sequence, begun!)).errno, 0);
      assert.deepEqual(dump(requests).filter(isIt), []);
      readInto(entries, socket);
      const ended = entries.filter(isIt).at(-1);
      assert.deepEqual([ended?.event, ended?.id], ['destroy', begun?.id]);
      assert.equal(ended?.tcpState, tcpState.established);
      assert.ok(ended!.originalCounters!.bytes >= 100);
    }
  },

  async filter() {
    await run(tracked);
    const { synReceived, finWait, closeWait, lastAck } = tcpState;
    const filter = conntrackFilter({ mark: 0x11000000, mask: 0xff000000 }, [
      synReceived,
      finWait,
      closeWait,
      lastAck,
    ]);
    const socket = open({ groups: allEvents, filter });
    const all = open({ groups: allEvents });
    const [told, everything]: ConntrackEntry[][] = [[], []];
    const { client } = await connected('::1');
    await speak(5);
    client.end().resume();
    await once(client, 'close');
    readInto(told!, socket);
    readInto(everything!, all);
    const states = (entries: ConntrackEntry[]): string[] =>
      entries.map(({ event, protocol, tcpState }) => `${event} ${protocol} ${tcpState ?? ''}`.trim());
    assert.deepEqual(states(told!), ['new tcp 1', 'update tcp 3', 'update tcp 7']);
    assert.ok(everything!.length >= 3 + 3 + 5, states(everything!).join(', '));
  },

  async 'delete by mark'() {
    await run(tracked);
    const requests = open();
    await connected('::1');
    await connected('127.0.0.1');
    await speak(2_000);
    // Some ports of ours come twice.
    assert.ok(dump(requests, { mark: 0x12000001, mask: 0xffffffff }).length > 1_000);
    const answer = requests.request((sequence) =>
      encodeDeleteByMark(sequence, { mark: 0x12000000, mask: 0xff000000 }),
    );
    assert.equal(answer.errno, 0);
    const left = dump(requests);
    assert.deepEqual(
      left.map((entry) => [entry.protocol, entry.mark]),
      [0, 1].map(() => ['tcp', 0x11000001]),
    );
    // Many at once, of which one is gone: it is passed over.
    const writer = new MessageWriter();
    writeDeletes(writer, [left[0]!, left[0]!, left[1]!]);
    assert.equal(requests.post(writer.written()), 0);
    assert.deepEqual(dump(requests), []);
  },

  /** Of others' tables, too: for who runs this where pinion's rules are. */
  async forget() {
    const [mark, mask] = process.argv.slice(3).map(Number) as [number, number];
    const answer = open().request((sequence) => encodeDeleteByMark(sequence, { mark, mask }));
    assert.equal(answer.errno, 0);
  },

  async look() {
    await run(tracked);
    writeFileSync('/proc/sys/net/netfilter/nf_conntrack_acct', '1');
    const requests = open();
    for (const host of ['127.0.0.1', '::1']) {
      const { clientPort } = await connected(host);
      const [listed] = dump(requests).filter(({ original }) => original.source.port === clientPort);
      const look = (): [number, ConntrackEntry | undefined] => {
        let seen: ConntrackEntry | undefined;
        const { errno } = requests.request(
          (sequence) => encodeGet(sequence, listed!),
          (message) => {
            seen = decodeConntrack(message);
          },
        );
        return [errno, seen];
      };
      const [errno, seen] = look();
      assert.deepEqual([errno, seen?.event, seen?.id, seen?.tcpState], [0, 'dump', listed!.id, 3]);
      assert.equal(requests.request((sequence) => encodeDelete(sequence, listed!)).errno, 0);
      assert.deepEqual(look(), [2, undefined]);
    }
  },

  /** How a connection that is refused, and one that its client leaves unfinished, look: what conntrack-flows.ts goes by. */
  async refused() {
    await run(tracked);
    writeFileSync('/proc/sys/net/netfilter/nf_conntrack_acct', '1');
    const socket = open({ groups: allEvents });
    const entries: ConntrackEntry[] = [];
    const client = connect(1, '127.0.0.1');
    await once(client, 'error');
    readInto(entries, socket);
    const [begun, ended] = entries;
    assert.deepEqual([begun?.event, begun?.tcpState], ['new', tcpState.synSent]);
    assert.deepEqual([ended?.event, ended?.tcpState], ['destroy', tcpState.close]);
    assert.equal((ended!.status & conntrackStatus.seenReply) !== 0, false);
    assert.equal(ended!.replyCounters!.packets, 1);
  },

  async overrun() {
    await run(tracked);
    const small = open({ groups: allEvents, receiveBufferBytes: 4_096 });
    const entries: ConntrackEntry[] = [];
    await speak(200);
    assert.equal(readInto(entries, small), true);
    assert.ok(entries.length > 0 && entries.length < 200);
    // Read empty, it goes on.
    entries.length = 0;
    await speak(1);
    assert.equal(readInto(entries, small), false);
    assert.equal(entries.length, 1);
  },

  async 'nft, the library'() {
    await tellNft(openNftLibrary()!);
  },

  async 'nft, the command'() {
    await tellNft(openNftCommand()!);
  },
};

async function tellNft(nft: Nft): Promise<void> {
  assert.deepEqual(await nft.run('table inet a {\n  set s { type ipv4_addr; }\n}\n'), {
    ok: true,
    output: '',
  });
  const wrong = await nft.run('add element inet a s { 10.0.0.1 }\nadd element inet b s { 10.0.0.2 }\n');
  assert.ok(!wrong.ok && /No such file or directory/.test(wrong.error), JSON.stringify(wrong));
  const elements = async (): Promise<string[]> => {
    const listed = await nft.list('list set inet a s');
    assert.ok(listed.ok, JSON.stringify(listed));
    const { nftables } = JSON.parse(listed.output) as { nftables: { set?: { elem?: string[] } }[] };
    return nftables.flatMap(({ set }) => set?.elem ?? []).sort();
  };
  // What failed has done nothing.
  assert.deepEqual(await elements(), []);
  // In order, and as much at once as a large map is.
  const many = Array.from({ length: 65_537 }, (_, i) => `10.1.${i >>> 8}.${i & 255}`).slice(0, 65_536);
  const results = await Promise.all([
    nft.run(`add element inet a s { ${many.join(',\n')} }\n`),
    nft.run('flush set inet a s\n'),
    nft.run('add element inet a s { 10.0.0.3 }\n'),
  ]);
  assert.deepEqual(
    results.map(({ ok }) => ok),
    [true, true, true],
  );
  assert.deepEqual(await elements(), ['10.0.0.3']);
  // Two wishes at once do not mix their words.
  const [bad, good] = await Promise.all([nft.run('nonsense\n'), nft.list('list tables')]);
  assert.ok(!bad.ok && /syntax error/.test(bad.error), JSON.stringify(bad));
  assert.ok(good.ok && good.output.includes('"name": "a"'), JSON.stringify(good));
  nft.close();
  if (nft.means === 'libnftables')
    assert.deepEqual(await nft.run('list tables\n'), { ok: false, error: 'Error: nftables is closed' });
}

await stories[process.argv[2]!]!();
process.exit(0);
