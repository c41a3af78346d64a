/** Deletes every connection that conntrack knows in this network namespace: those with one bit of the mark, and those without. */
import { NetlinkSocket } from '../../src/linux/netlink.ts';
import { encodeDeleteByMark } from '../../src/wire/conntrack.ts';

const socket = NetlinkSocket.open();
if (typeof socket === 'number') throw new Error(`no netlink socket: errno ${-socket}`);
for (const mark of [0, 1]) {
  const answer = socket.request((sequence) => encodeDeleteByMark(sequence, { mark, mask: 1 }));
  if (answer.errno !== 0) throw new Error(`connections are not deleted: errno ${answer.errno}`);
}
socket.close();
