/**
 * A TCP client that has been accepted and has no flow yet, because something has to be read of it first: who it is, or where
 * it belongs. What both engines know of it; they read, and the host's identifier judges.
 *
 *    accept --> host.identify --> nothing to read ------------------------------------+
 *                    |                                                                v
 *                    +--> reads <--> Identifier.read --> { identity, client, local } --> host.open
 *                          |  ^        |--> { answer }: said to the client, and on
 *                          +--+ 'more' +--> code, or its time is over, or it is gone --> host.unidentified
 *
 * Bytes that were consumed are gone; all others reach the backend as they came. Until then nobody's limits, pins or health
 * are touched: a client without a flow costs a descriptor, what it has said (`bytesMax`) and its time (`timeoutMs`). There are only so many
 * (crowd below): when more come, the oldest is given up, which is the one least likely to say more. A client that says all in
 * its first segment is never among them.
 */
import type { Address } from '../core/address.ts';
import type { Identity } from '../core/identity.ts';
import type { TerminationCode } from '../core/termination.ts';

/** Whether a client may say more: it has ended, or as much was read, or waited for, as may be. */
export type Hearing = 'open' | 'ended' | 'full' | 'late';

export interface Identified {
  readonly identity: Identity;
  readonly client: Address;
  readonly local: Address;
  /** Bytes from the first one that nobody is to get. */
  readonly consumed: number;
}

export type IdentifierAnswer =
  /** Too little to tell. When nothing more can come it is the end. */
  | 'more'
  /** Say this to the client, drop the first `consumed` bytes, at least one, and ask again with the rest. */
  | { readonly answer: Uint8Array; readonly consumed: number }
  | Identified
  /** Reset it. The host has counted nothing: `unidentified` follows. */
  | TerminationCode;

/** Reads one client. */
export interface Identifier {
  /** How much may be waiting to be understood, at most `arrivalBytesMax`. */
  readonly bytesMax: number;
  readonly timeoutMs: number;
  /**
   * @param bytes what the client has said and was not consumed; valid during the call only, so whatever is kept is copied
   * @param hearing 'open': more may come. Anything else is the last call, unless an answer is said
   */
  read(bytes: Uint8Array, hearing: Hearing): IdentifierAnswer;
}

const nothing = new Uint8Array(0);

/** What an engine does next. `rest`: what the client has said beyond; valid as long as what was passed in. */
export type Heard = 'more' | TerminationCode | { readonly identified: Identified; readonly rest: Uint8Array };

export class Arrival {
  readonly deadlineMs: number;
  readonly #identifier: Identifier;
  /** What was said in earlier pieces. */
  #held = nothing;
  #heldBytes = 0;

  constructor(identifier: Identifier, nowMs: number) {
    this.#identifier = identifier;
    this.deadlineMs = nowMs + identifier.timeoutMs;
  }

  /** How much may be read before {@link hear}; at least 1. */
  get room(): number {
    return Math.max(1, this.#identifier.bytesMax - this.#heldBytes);
  }

  /**
   * @param piece what was read now; copied if it has to be kept
   * @param hearing whether more may come, as far as the engine knows
   * @param say tells the client something; what it was given is its own, and `piece` may be overwritten
   */
  hear(piece: Uint8Array, hearing: Exclude<Hearing, 'full'>, say: (answer: Uint8Array) => void): Heard {
    const { bytesMax } = this.#identifier;
    let bytes = this.#joined(piece);
    for (;;) {
      const isFull = hearing === 'open' && bytes.length >= bytesMax;
      const answer = this.#identifier.read(bytes.subarray(0, bytesMax), isFull ? 'full' : hearing);
      if (answer === 'more') {
        if (hearing === 'open' && !isFull) {
          this.#hold(bytes);
          return 'more';
        }
        return hearing === 'ended' ? 'client-closed' : 'unidentified';
      }
      if (typeof answer === 'string') return answer;
      if (answer.consumed > bytes.length) throw new Error('an identifier consumed what had not come');
      if ('identity' in answer) return { identified: answer, rest: bytes.subarray(answer.consumed) };
      if (answer.consumed === 0) throw new Error('an identifier answers what nobody has said');
      this.#hold(bytes.subarray(answer.consumed));
      say(answer.answer);
      bytes = this.#held.subarray(0, this.#heldBytes);
    }
  }

  /** All that waits to be understood. */
  #joined(piece: Uint8Array): Uint8Array {
    if (this.#heldBytes === 0) return piece;
    const length = this.#heldBytes + piece.length;
    this.#reserve(length);
    this.#held.set(piece, this.#heldBytes);
    this.#heldBytes = length;
    return this.#held.subarray(0, length);
  }

  #hold(bytes: Uint8Array): void {
    if (bytes.buffer === this.#held.buffer) {
      const at = bytes.byteOffset;
      if (at > 0) this.#held.copyWithin(0, at, at + bytes.length);
    } else {
      this.#reserve(bytes.length);
      this.#held.set(bytes);
    }
    this.#heldBytes = bytes.length;
  }

  /** Doubles, so that a client that drips costs no more copying than twice what it says; no further than what is read of it. */
  #reserve(length: number): void {
    if (length <= this.#held.length) return;
    const doubled = Math.min(2 * this.#held.length, this.#identifier.bytesMax);
    const larger = new Uint8Array(Math.max(length, doubled));
    larger.set(this.#held.subarray(0, this.#heldBytes));
    this.#held = larger;
  }
}

/** What is in a {@link Crowd}. */
export interface Crowded {
  /** Others have come; it is to leave the crowd before this returns. */
  giveUp(): void;
}

/** The clients of one engine that are waited for, oldest first. */
export class Crowd<Member extends Crowded> {
  most = Number.POSITIVE_INFINITY;
  readonly #members = new Set<Member>();

  add(member: Member): void {
    this.#members.add(member);
    while (this.#members.size > this.most) {
      const [oldest] = this.#members;
      oldest!.giveUp();
    }
  }

  remove(member: Member): void {
    this.#members.delete(member);
  }

  all(): Member[] {
    return [...this.#members];
  }
}
