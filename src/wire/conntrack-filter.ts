/**
 * A program for the kernel that keeps events of conntrack from a socket before they are queued there: those of connections whose mark is
 * not ours, and those that only say that a TCP connection came into a state nobody asks for. A connection that is opened, used and closed
 * is told in seven or eight events; four of them are enough, and each costs its reader more than the kernel.
 *
 * It is classic BPF (Documentation/networking/filter.rst) with the two extensions for attributes of netlink, for SO_ATTACH_FILTER of a
 * socket that gets events alone. Loads are in network order; netlink's header is not, so its fields are compared turned.
 */
import type { MarkFilter } from './conntrack.ts';

/** `struct sock_filter`: code, jump if true, jump if false, a value; 8 bytes. */
type Step = 'next' | 'accept' | 'drop';
type Instruction = readonly [code: number, value: number, ifTrue?: Step, ifFalse?: Step];

// linux/bpf_common.h.
const load = 0x00; // of a value
const loadX = 0x01;
const loadByte = 0x50; // behind X
const loadWord = 0x40;
const loadHalfAt = 0x28;
const loadExtension = 0x30;
const and = 0x54;
const jumpIfEqual = 0x15;
const jumpIfSet = 0x45;
const toX = 0x07;
const give = 0x06;

/** SKF_AD_OFF + SKF_AD_NLATTR: from A on, the attribute whose kind is X; its place, or 0. And the same inside of the attribute at A. */
const findAttribute = 0xfffff00c;
const findNested = 0xfffff010;

const attributesAt = 20;
const typeAt = 4;
const flagsAt = 6;
const valueAt = 4;
/** IPCTNL_MSG_CT_NEW of ctnetlink, and NLM_F_CREATE with NLM_F_EXCL, as they lie in a header. */
const newOrUpdate = 0x0001;
const isNew = 0x0006;
const [protocolInfo, infoTcp, infoState, mark] = [4, 1, 1, 8];

/**
 * @param ours what a connection's mark must be
 * @param silent states of `tcpState` whose coming is not told; an entry that begins in one is
 * @returns the instructions, as they lie in memory
 */
export function conntrackFilter(ours: MarkFilter, silent: readonly number[]): Uint8Array {
  const find = (kind: number, how: number): Instruction[] => [
    [loadX, kind],
    [loadExtension, how],
  ];
  const program: readonly Instruction[] = [
    [load, attributesAt],
    ...find(mark, findAttribute),
    // An entry without a mark has no such attribute.
    [jumpIfEqual, 0, 'drop'],
    [toX, 0],
    [loadWord, valueAt],
    [and, ours.mask >>> 0],
    [jumpIfEqual, ours.mark >>> 0, 'next', 'drop'],
    [loadHalfAt, typeAt],
    [jumpIfEqual, newOrUpdate, 'next', 'accept'],
    [loadHalfAt, flagsAt],
    [jumpIfSet, isNew, 'accept'],
    [load, attributesAt],
    ...find(protocolInfo, findAttribute),
    [jumpIfEqual, 0, 'accept'],
    ...find(infoTcp, findNested),
    [jumpIfEqual, 0, 'accept'],
    ...find(infoState, findNested),
    [jumpIfEqual, 0, 'accept'],
    [toX, 0],
    [loadByte, valueAt],
    ...silent.map((state): Instruction => [jumpIfEqual, state, 'drop']),
    [give, 0xffffffff],
    [give, 0],
  ];
  return assembled(program);
}

/** The last two instructions accept and drop. */
function assembled(program: readonly Instruction[]): Uint8Array {
  const bytes = new Uint8Array(program.length * 8);
  const view = new DataView(bytes.buffer);
  for (const [i, [code, value, ifTrue = 'next', ifFalse = 'next']] of program.entries()) {
    const steps = (to: Step): number =>
      to === 'next' ? 0 : program.length - (to === 'accept' ? 2 : 1) - i - 1;
    view.setUint16(i * 8, code, true);
    view.setUint8(i * 8 + 2, steps(ifTrue));
    view.setUint8(i * 8 + 3, steps(ifFalse));
    view.setUint32(i * 8 + 4, value, true);
  }
  return bytes;
}
