/** Just enough of Redis's protocol (RESP2) for a question and its answer. https://redis.io/docs/latest/develop/reference/protocol-spec/ */

export function encodeCommand(...words: readonly string[]): Buffer {
  const parts = words.map((word) => `$${Buffer.byteLength(word)}\r\n${word}\r\n`);
  return Buffer.from(`*${words.length}\r\n${parts.join('')}`);
}

export type RespValue = string | number | null | RespError | readonly RespValue[];

export class RespError {
  readonly text: string;

  constructor(text: string) {
    this.text = text;
  }
}

/** What one reply may hold. */
const itemsMax = 1_024;
const depthMax = 8;

/**
 * @returns one reply and its length; undefined: more bytes are needed
 * @throws RangeError: it is no reply, or more than a check takes
 */
export function decodeReply(bytes: Buffer, at = 0, depth = 0): { value: RespValue; end: number } | undefined {
  const lineEnd = bytes.indexOf('\r\n', at);
  if (lineEnd < 0) return undefined;
  const line = bytes.toString('utf8', at + 1, lineEnd);
  const end = lineEnd + 2;
  switch (bytes[at]) {
    case 0x2b: // +
      return { value: line, end };
    case 0x2d: // -
      return { value: new RespError(line), end };
    case 0x3a: // :
      return { value: Number(line), end };
    case 0x24: // $
      return decodeText(bytes, countOf(line), end);
    case 0x2a: // *
      return decodeList(bytes, countOf(line), end, depth);
    default:
      throw new RangeError('no reply of Redis');
  }
}

function countOf(line: string): number {
  if (!/^(?:-1|\d{1,9})$/.test(line)) throw new RangeError('no length');
  return Number(line);
}

function decodeText(
  bytes: Buffer,
  length: number,
  at: number,
): { value: RespValue; end: number } | undefined {
  if (length < 0) return { value: null, end: at };
  if (bytes.length < at + length + 2) return undefined;
  return { value: bytes.toString('utf8', at, at + length), end: at + length + 2 };
}

function decodeList(
  bytes: Buffer,
  count: number,
  at: number,
  depth: number,
): { value: RespValue; end: number } | undefined {
  if (count < 0) return { value: null, end: at };
  if (count > itemsMax || depth >= depthMax) throw new RangeError('more than a check takes');
  const value: RespValue[] = [];
  let end = at;
  for (let i = 0; i < count; i++) {
    const item = decodeReply(bytes, end, depth + 1);
    if (item === undefined) return undefined;
    value.push(item.value);
    end = item.end;
  }
  return { value, end };
}
