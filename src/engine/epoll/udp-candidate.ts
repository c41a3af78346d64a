/**
 * An address from which a datagram of an open conversation has come that is not its client's so far: perhaps the client's new one. It is
 * told one reply, and it is the client's once it has said something after that, and nothing has come from the old one meanwhile.
 */
import type { MessageBatch } from '../../linux/message-batch.ts';
import { interfaceWordAt, localWordsAt } from './conversation-table.ts';
import type { UdpListener } from './udp-listener.ts';
import type { Addressee } from './udp-replies.ts';

export class UdpCandidate implements Addressee {
  readonly identity: Int32Array;
  readonly nameBytes: number;
  readonly #listener: UdpListener;
  isAnswered = false;

  constructor(listener: UdpListener, identity: Int32Array) {
    this.#listener = listener;
    this.nameBytes = listener.nameBytes;
    this.identity = identity;
  }

  is(identity: Int32Array): boolean {
    for (let i = 0; i < identity.length; i++) if (this.identity[i] !== identity[i]) return false;
    return true;
  }

  address(batch: MessageBatch, place: number): void {
    writeAddress(this.#listener, this.identity, batch, place);
  }

  /** The reply is counted once, with its conversation. */
  onReplySent(): void {}
}

/** Writes a client's address, and the local one the client used, to a place of a batch. */
export function writeAddress(
  { isIpv4, isWildcard }: UdpListener,
  identity: Int32Array,
  batch: MessageBatch,
  place: number,
): void {
  const { words } = batch.names;
  const at = batch.nameWord(place);
  for (let i = 0; i < localWordsAt; i++) words[at + i] = identity[i]!;
  if (!isWildcard) return;
  if (isIpv4) batch.leaveFromV4(place, identity[localWordsAt]!);
  else batch.leaveFromV6(place, identity, localWordsAt, identity[interfaceWordAt]!);
}
