/**
 * What connection tracking counts of itself (IPCTNL_MSG_CT_GET_STATS_CPU of include/uapi/linux/netfilter/nfnetlink_conntrack.h): a
 * message for each processor, of this network namespace alone.
 */
import {
  AttributeReader,
  type MessageReader,
  MessageWriter,
  messageFlag,
  netfilterHeaderBytes,
} from './netlink.ts';

/** NFNL_SUBSYS_CTNETLINK times 256, and IPCTNL_MSG_CT_GET_STATS_CPU. */
const messageStatistics = 0x104;
/** CTA_STATS_*. */
const attribute = { insertFailed: 9, drop: 10 } as const;

const attributes = new AttributeReader();

/** Asks for the counts of all processors: a dump. */
export function encodeStatistics(sequence: number): Uint8Array {
  const writer = new MessageWriter();
  return writer
    .begin(messageStatistics, messageFlag.request | messageFlag.dump, sequence, 0)
    .end()
    .written();
}

/**
 * Packets that one processor has dropped so far because the table was full or memory short; 0 if the message is about something else.
 * Those of two packets that make the same entry at once are counted as dropped and as not inserted, and are not meant.
 */
export function dropsIn({ type, view, start, end }: MessageReader): number {
  if (type !== messageStatistics) return 0;
  let drops = 0;
  attributes.reset(view, start + netfilterHeaderBytes, end);
  while (attributes.next()) {
    if (attributes.type === attribute.drop) drops += attributes.u32();
    if (attributes.type === attribute.insertFailed) drops -= attributes.u32();
  }
  return drops;
}
