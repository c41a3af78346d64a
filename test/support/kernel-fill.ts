/**
 * Takes all the room there is in conntrack's table of this network namespace, and what becomes free, until SIGTERM: `node kernel-fill.js`.
 * Its entries are connections that have been answered, which the kernel does not give up for others. Says `full`, and `gone` at the end.
 */
import { readFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { NetlinkSocket } from '../../src/linux/netlink.ts';
import { conntrackStatus, encodeDeleteByMark } from '../../src/wire/conntrack.ts';
import { MessageWriter, messageFlag } from '../../src/wire/netlink.ts';

const newEntry = 0x100;
// CTA_*: nfnetlink_conntrack.h.
const attribute = { original: 1, reply: 2, status: 3, timeout: 7, mark: 8 } as const;
const mark = 0x666;
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
const most = numberIn('nf_conntrack_max');

while (numberIn('nf_conntrack_count') < most) addSome();
process.stdout.write('full\n');
while (!isEnding) {
  addSome();
  await sleep(againMs);
}
netlink.request((sequence) => encodeDeleteByMark(sequence, { mark, mask: 0xffff_ffff }));
process.stdout.write('gone\n');

function addSome(): void {
  const writer = new MessageWriter();
  for (let i = 0; i < entriesPerCall; i++) {
    made++;
    const [one, other] = [(10 << 24) | (67 << 16) | (made & 0xffff), (10 << 24) | (68 << 16)];
    const port = 1_024 + (made >> 16);
    writer.begin(newEntry, messageFlag.request | messageFlag.create | messageFlag.exclusive, 0, 2);
    writeUdp(writer, attribute.original, one, other, port);
    writeUdp(writer, attribute.reply, other, one, port);
    writer.u32(
      attribute.status,
      conntrackStatus.seenReply | conntrackStatus.assured | conntrackStatus.confirmed,
    );
    writer.u32(attribute.timeout, timeoutS).u32(attribute.mark, mark).end();
  }
  netlink.post(writer.written());
}

function writeUdp(
  writer: MessageWriter,
  type: number,
  source: number,
  destination: number,
  port: number,
): void {
  writer
    .open(type)
    .open(1)
    .u32(1, source >>> 0)
    .u32(2, destination >>> 0)
    .close();
  writer.open(2).u8(1, 17).u16(2, port).u16(3, port).close().close();
}
