/** The UDP backend: sends every datagram back to where it came from, in batches. Runs until it is killed. */
import { bindUdp, Memory, MSG_WAITFORONE, receiveMany, sendMany, socketAddress } from './libc.ts';
import { readSettings } from './phases.ts';

const batch = 64;
const datagramBytesMax = 2048;
const headerBytes = 64; // struct mmsghdr on 64-bit Linux: msghdr (56), msg_len (4), padding
const settings = readSettings();
const descriptor = bindUdp(socketAddress(settings.host, settings.port));
const headers = new Memory(batch * headerBytes);
const vectors = new Memory(batch * 16);
const names = new Memory(batch * 16);
const payloads = new Memory(batch * datagramBytesMax);

for (let index = 0; index < batch; index++) {
  const header = index * headerBytes;
  const field = (at: number, value: number): void =>
    void headers.bytes.writeBigUInt64LE(BigInt(value), header + at);
  field(0, names.address + index * 16); // msg_name
  field(8, 16); // msg_namelen
  field(16, vectors.address + index * 16); // msg_iov
  field(24, 1); // msg_iovlen
  vectors.bytes.writeBigUInt64LE(BigInt(payloads.address + index * datagramBytesMax), index * 16);
  vectors.bytes.writeBigUInt64LE(BigInt(datagramBytesMax), index * 16 + 8);
}

for (;;) {
  const count = receiveMany(descriptor, headers.address, batch, MSG_WAITFORONE, 0);
  if (count <= 0) continue; // EINTR
  for (let index = 0; index < count; index++) {
    vectors.bytes.writeUInt32LE(headers.bytes.readUInt32LE(index * headerBytes + 56), index * 16 + 8);
  }
  for (let sent = 0; sent < count; ) {
    const more = sendMany(descriptor, headers.address + sent * headerBytes, count - sent, 0);
    sent += Math.max(1, more); // a refused one (ICMP from a client that has gone) is skipped
  }
  for (let index = 0; index < count; index++) {
    headers.bytes.writeUInt32LE(16, index * headerBytes + 8);
    vectors.bytes.writeUInt32LE(datagramBytesMax, index * 16 + 8);
  }
}
