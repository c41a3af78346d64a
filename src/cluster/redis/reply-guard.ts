/**
 * Reads along with what a server sends, before the Redis client does, and says at the first byte that is not an answer
 * to something that was asked, in the form of RESP2 (redis.io/docs/latest/develop/reference/protocol-spec), and of
 * bounded size. It follows the framing only: texts are skipped by their length, nothing is copied.
 *
 * Why: the client (ioredis 6) throws outside of every promise when a reply comes that nobody asked for and is null,
 * takes types of RESP3 though it asked for RESP2, and grows without bound with a text or a line that does not end.
 *
 * Does not promise that an answer makes sense: whoever asked looks at that.
 */

export interface ReplyLimits {
  /** What a reply may take in memory: its bytes, and what it costs to keep each item and each piece it came in. */
  readonly costMax: number;
  /** A simple text, an error or a number, which come without a length. Bytes. */
  readonly lineBytesMax: number;
  /** Arrays in arrays. */
  readonly depthMax: number;
}

export interface ReplyViolation {
  readonly fault: 'protocol' | 'too-large';
  /** Completes "HOST:PORT ...". */
  readonly what: string;
}

/** What connections to the same Redis hold together in replies that are not complete. */
export class ReplyBudget {
  readonly costMax: number;
  cost = 0;

  constructor(costMax: number) {
    this.costMax = costMax;
  }
}

/** A Buffer in Node 20, by and large; and the same with memory of its own for each time something was read. Bytes. */
const costPerItem = 96;
const costPerPiece = 512;

const cr = 13;
const lf = 10;
const plus = 43; // + text
const minus = 45; // - error
const colon = 58; // : number
const dollar = 36; // $ text of a given length
const star = 42; // * array
const zero = 48;
/** -9223372036854775808 */
const numberLengthMax = 20;

export class ReplyGuard {
  /** Commands sent. */
  asked = 0;
  /** Replies that came, complete. */
  answered = 0;
  private readonly limits: ReplyLimits;
  private readonly budget: ReplyBudget;
  private wrong: ReplyViolation | undefined;
  /** Of the reply under way; 0 between replies. */
  private cost = 0;
  /** The part of it the budget knows. */
  private costTold = 0;
  /** The type byte of the line under way; 0 where one is expected. */
  private type = 0;
  private lineLength = 0;
  private isNegative = false;
  private number = 0;
  private endsLine = false;
  /** Bytes of a text still to come, its line end included. */
  private textLeft = 0;
  /** Items still to come of each array under way, the outermost first. */
  private readonly open: number[] = [];

  constructor(limits: ReplyLimits, budget: ReplyBudget) {
    this.limits = limits;
    this.budget = budget;
  }

  /** Reads the next bytes. @returns what is wrong with them: nothing after it may be read */
  read(bytes: Buffer): ReplyViolation | undefined {
    if (this.cost > 0) this.cost += costPerPiece;
    let at = 0;
    while (at < bytes.length && this.wrong === undefined) {
      const from = at;
      if (this.textLeft > 0) at = this.readText(bytes, at);
      else if (this.type === 0) at = this.readType(bytes, at);
      else if (this.type === plus || this.type === minus) at = this.readLine(bytes, at);
      else at = this.readNumber(bytes, at);
      if (this.cost > 0) this.cost += at - from;
      if (this.cost > this.limits.costMax) this.tooLarge();
    }
    this.budget.cost += this.cost - this.costTold;
    this.costTold = this.cost;
    if (this.budget.cost > this.budget.costMax) this.tooLarge();
    return this.wrong;
  }

  /** The connection is over: what it held counts no longer. */
  end(): void {
    this.budget.cost -= this.costTold;
    this.cost = 0;
    this.costTold = 0;
  }

  private readType(bytes: Buffer, at: number): number {
    const type = bytes[at]!;
    if (this.open.length === 0 && this.answered >= this.asked) {
      // What is no Redis often speaks first: that says more than that nobody asked.
      if (isType(type)) this.refuse('sent a reply nobody asked for');
      else this.refuseType(type);
    } else if (!isType(type)) this.refuseType(type);
    this.type = type;
    this.lineLength = 0;
    this.isNegative = false;
    this.number = 0;
    this.cost += costPerItem;
    return at + 1;
  }

  /** The rest of a simple text or an error. */
  private readLine(bytes: Buffer, at: number): number {
    if (this.endsLine) return this.readLineEnd(bytes, at);
    const found = bytes.indexOf(cr, at);
    const end = found < 0 ? bytes.length : found;
    this.lineLength += end - at;
    if (this.lineLength > this.limits.lineBytesMax) {
      this.wrong = { fault: 'too-large', what: `sent a line longer than ${this.limits.lineBytesMax} bytes` };
    }
    if (found < 0) return end;
    this.endsLine = true;
    return found + 1;
  }

  /** The rest of a number, a length or a count. */
  private readNumber(bytes: Buffer, from: number): number {
    let at = from;
    for (; at < bytes.length && !this.endsLine; at++) {
      const byte = bytes[at]!;
      if (byte >= zero && byte <= zero + 9) this.number = this.number * 10 + byte - zero;
      else if (byte === minus && this.lineLength === 0) this.isNegative = true;
      else if (byte === cr && this.lineLength > (this.isNegative ? 1 : 0)) this.endsLine = true;
      else if (byte !== plus || this.lineLength > 0 || this.type !== colon) {
        this.refuse('sent a number that is none');
        return at + 1;
      }
      if (++this.lineLength > numberLengthMax + 1) {
        this.refuse('sent a number that is none');
        return at + 1;
      }
    }
    return this.endsLine && at < bytes.length ? this.readLineEnd(bytes, at) : at;
  }

  private readLineEnd(bytes: Buffer, at: number): number {
    if (bytes[at] !== lf) this.refuse('sent a line that ends in the wrong way');
    const { type } = this;
    this.type = 0;
    this.endsLine = false;
    if (type === dollar) this.beginText();
    else if (type === star) this.beginArray();
    else this.endItem();
    return at + 1;
  }

  private beginText(): void {
    if (this.isNegative) this.endNull();
    else if (this.cost + this.number > this.limits.costMax) this.tooLarge();
    else this.textLeft = this.number + 2;
  }

  private beginArray(): void {
    if (this.isNegative) this.endNull();
    else if (this.cost + this.number * costPerItem > this.limits.costMax) this.tooLarge();
    else if (this.open.length >= this.limits.depthMax) this.refuse('sent arrays in arrays without end');
    else if (this.number === 0) this.endItem();
    else this.open.push(this.number);
  }

  private endNull(): void {
    if (this.number === 1) this.endItem();
    else this.refuse('sent a length below zero');
  }

  /** The rest of a text whose length is known. */
  private readText(bytes: Buffer, at: number): number {
    const end = Math.min(bytes.length, at + this.textLeft);
    const crAt = at + this.textLeft - 2;
    const isEnded =
      (crAt < at || crAt >= end || bytes[crAt] === cr) && (crAt + 1 >= end || bytes[crAt + 1] === lf);
    if (!isEnded) this.refuse('sent a text of another length than it said');
    this.textLeft -= end - at;
    if (this.textLeft === 0) this.endItem();
    return end;
  }

  /** The last item of an array ends the array, and that one perhaps the array around it. */
  private endItem(): void {
    const { open } = this;
    while (open.length > 0) {
      if (--open[open.length - 1]! > 0) return;
      open.pop();
    }
    this.answered++;
    this.cost = 0;
  }

  private tooLarge(): void {
    const mib = Math.round(Math.min(this.limits.costMax, this.budget.costMax) / 2 ** 20);
    this.wrong ??= { fault: 'too-large', what: `sent more than ${mib} MiB in one reply` };
  }

  private refuse(what: string): void {
    this.wrong ??= { fault: 'protocol', what };
  }

  private refuseType(type: number): void {
    const looksLikeTls = type === 0x15 || type === 0x16;
    if (looksLikeTls) this.refuse('answers with TLS: write rediss:// and cluster.redis.tls');
    else if (this.answered === 0 && this.open.length === 0) this.refuse('does not speak Redis');
    else this.refuse(`sent a reply of type 0x${type.toString(16)}, which its protocol (RESP2) does not have`);
  }
}

function isType(byte: number): boolean {
  return byte === plus || byte === minus || byte === colon || byte === dollar || byte === star;
}
