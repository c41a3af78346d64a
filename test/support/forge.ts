/**
 * A UDP datagram with a source that is not ours, as anybody can send one: through a raw socket (raw(7)), which needs root. The
 * kernel fills in the checksum of the IP header; UDP over IPv4 may go without one.
 */
import koffi from 'koffi';

const AF_INET = 2;
const SOCK_RAW = 3;
const IPPROTO_RAW = 255;
const udp = 17;
const headerBytes = 28;

interface Place {
  readonly ip: string;
  readonly port: number;
}

export function canForge(): boolean {
  return process.getuid?.() === 0;
}

export function forgeDatagram(from: Place, to: Place, text: string): void {
  const library = koffi.load(null);
  const socket = library.func('int socket(int, int, int)');
  const sendto = library.func('long sendto(int, const uint8_t *, size_t, int, const uint8_t *, uint32_t)');
  const close = library.func('int close(int)');
  const payload = Buffer.from(text);
  const packet = Buffer.alloc(headerBytes + payload.length);
  // IPv4: version and header length, total length, time to live, protocol, addresses.
  packet[0] = 0x45;
  packet.writeUInt16BE(packet.length, 2);
  packet[8] = 64;
  packet[9] = udp;
  packet.set(bytesOf(from.ip), 12);
  packet.set(bytesOf(to.ip), 16);
  packet.writeUInt16BE(from.port, 20);
  packet.writeUInt16BE(to.port, 22);
  packet.writeUInt16BE(8 + payload.length, 24);
  packet.set(payload, headerBytes);
  const address = Buffer.alloc(16);
  address.writeUInt16LE(AF_INET, 0);
  address.set(bytesOf(to.ip), 4);
  const fd = socket(AF_INET, SOCK_RAW, IPPROTO_RAW);
  if (fd < 0) throw new Error(`no raw socket: errno ${koffi.errno()}`);
  const sent = sendto(fd, packet, packet.length, 0, address, address.length);
  const errno = koffi.errno();
  close(fd);
  if (sent !== packet.length) throw new Error(`forged datagram not sent: errno ${errno}`);
}

function bytesOf(ip: string): number[] {
  return ip.split('.').map(Number);
}
