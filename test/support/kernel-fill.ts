/**
 * Takes all the room there is in conntrack's table of this network namespace, and what becomes free, until SIGTERM: `node kernel-fill.js`.
 * Its entries are connections that have been answered, which the kernel does not give up for others. Says `full`, and `gone` at the end.
 *
 * `node kernel-fill.js COUNT TABLE`: so many alone, which are UDP conversations of the table's listener at 10.77.0.101:7001 with 10.77.0.21.
 */
import { readFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { markOf } from '../../src/kernel/layout.ts';
import { NetlinkSocket } from '../../src/linux/netlink.ts';
import { conntrackStatus, encodeDeleteByMark } from '../../src/wire/conntrack.ts';
import { MessageWriter, messageFlag } from '../../src/wire/netlink.ts';

const newEntry = 0x100;
// CTA_*: nfnetlink_conntrack.h.
const attribute = { original: 1, reply: 2, status: 3, timeout: 7, mark: 8 } as const;
const [count, table] = process.argv.slice(2);
const mark = table === undefined ? 0x666 : markOf(table).mark + 1;
const door = table === undefined ? 0x0a_44_00_00 : 0x0a_4d_00_65;
const backend = table === undefined ? door : 0x0a_4d_00_15;
const doorPort = 7_001;
const timeoutS = 600;
const entriesPerCall = 300;
const againMs = 10;

const opened = NetlinkSocket.open();
if (typeof opened === 'number') throw new Error(`no netlink: errno ${-opened}`);
const netlink: NetlinkSocket = opened;
let made = 0;
let isEnding = false;
process.on('SIGTERM', () => {
  isEnding = true;
});

const numberIn = (file: string): number => Number(readFileSync(`/proc/sys/net/netfilter/${file}`, 'utf8'));
const most = Math.min(numberIn('nf_conntrack_max'), Number(count ?? Number.POSITIVE_INFINITY));

while (numberIn('nf_conntrack_count') < most) addSome();
process.stdout.write('full\n');
while (!isEnding) {
  if (count === undefined) addSome();
  await sleep(againMs);
}
netlink.request((sequence) => encodeDeleteByMark(sequence, { mark, mask: 0xffff_ffff }));
process.stdout.write('gone\n');

function addSome(): void {
  const writer = new MessageWriter();
  for (let i = 0; i < entriesPerCall; i++) {
    made++;
    const client = 0x0a_43_00_00 + (made & 0xffff);
    const port = 1_024 + (made >> 16);
    writer.begin(newEntry, messageFlag.request | messageFlag.create | messageFlag.exclusive, 0, 2);
    writeUdp(writer, attribute.original, [client, port], [door, doorPort]);
    writeUdp(writer, attribute.reply, [backend, doorPort], [client, port]);
    writer.u32(
      attribute.status,
      conntrackStatus.seenReply | conntrackStatus.assured | conntrackStatus.confirmed,
    );
    writer.u32(attribute.timeout, timeoutS).u32(attribute.mark, mark).end();
  }
  netlink.post(writer.written());
}

type Place = readonly [ip: number, port: number];

function writeUdp(writer: MessageWriter, type: number, [from, fromPort]: Place, [to, toPort]: Place): void {
  writer.open(type).open(1).u32(1, from).u32(2, to).close();
  writer.open(2).u8(1, 17).u16(2, fromPort).u16(3, toPort).close().close();
}
