/**
 * `affinity.key: { payload }`: a piece of what a client says first is what it is recognised by, a token or a session's number. TCP
 * clients are waited for until they have said it, UDP clients say it in the datagram that opens their conversation.
 *
 * All of it or none: who says less, in time, is recognised by its address, so that no piece of a token is taken for one. What comes
 * before the client's own words (the header of a proxy, a question for TLS) does not count.
 */
import type { Address } from '../../core/address.ts';
import type { Identity } from '../../core/identity.ts';
import { arrivalBytesMax, payloadWaitMs } from '../../core/limits.ts';
import type { AffinityKey } from '../../core/plan.ts';
import type { Hearing, Identified, Identifier, IdentifierAnswer } from '../../engine/arrival.ts';

type Piece = Extract<AffinityKey, { readonly payload: unknown }>;

function isPiece(key: AffinityKey): key is Piece {
  return typeof key === 'object' && 'payload' in key;
}

/**
 * @param inner whoever else reads this client first; undefined: nobody
 * @returns `inner`, where the key is no piece of what the client says
 */
export function withPayload(
  inner: Identifier | undefined,
  key: AffinityKey,
  peer: Address,
  local: Address,
): Identifier | undefined {
  return isPiece(key) ? new PayloadIdentifier(inner, key, peer, local) : inner;
}

/**
 * What is known of a UDP client, with the piece of its first datagram.
 * @param words what it says in that, all its own; the piece is a part of them: for `keyOf`, and no longer
 */
export function withWords(
  key: AffinityKey,
  peer: Address,
  peerLocal: Address,
  identity: Identity | undefined,
  words: Uint8Array,
): Identity | undefined {
  const payload = isPiece(key) ? pieceOf(key, words, 0) : undefined;
  return payload === undefined ? identity : { peer, peerLocal, ...identity, payload };
}

/** Undefined: the bytes do not go as far. */
function pieceOf(
  { payload: { offset, length } }: Piece,
  bytes: Uint8Array,
  from: number,
): Uint8Array | undefined {
  const start = from + offset;
  return bytes.length < start + length ? undefined : bytes.subarray(start, start + length);
}

class PayloadIdentifier implements Identifier {
  readonly bytesMax: number;
  readonly timeoutMs: number;
  readonly #inner: Identifier | undefined;
  readonly #key: Piece;
  /** All but the piece. */
  #known: Identified | undefined;

  constructor(inner: Identifier | undefined, key: Piece, peer: Address, local: Address) {
    const { offset, length } = key.payload;
    this.#inner = inner;
    this.#key = key;
    this.bytesMax = Math.min(arrivalBytesMax, (inner?.bytesMax ?? 0) + offset + length);
    this.timeoutMs = Math.max(inner?.timeoutMs ?? 0, payloadWaitMs);
    if (inner === undefined)
      this.#known = { identity: { peer, peerLocal: local }, client: peer, local, consumed: 0 };
  }

  read(bytes: Uint8Array, hearing: Hearing): IdentifierAnswer {
    const isGone = hearing === 'ended' && bytes.length === 0;
    if (this.#known === undefined) {
      const answer = this.#inner!.read(bytes, hearing);
      if (typeof answer === 'string' || !('identity' in answer)) return answer;
      this.#known = answer;
    } else if (isGone) return 'more';
    const known = this.#known;
    const payload = pieceOf(this.#key, bytes, known.consumed);
    if (payload === undefined) return hearing === 'open' ? 'more' : known;
    return { ...known, identity: { ...known.identity, payload: new Uint8Array(payload) } };
  }
}
