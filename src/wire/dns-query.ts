/** A question to a name server and the code of its answer: RFC 1035, section 4. */

export const queryTypes = { A: 1, NS: 2, SOA: 6, MX: 15, TXT: 16, AAAA: 28, SRV: 33 } as const;
export type QueryType = keyof typeof queryTypes;

export const responseCodes = ['NOERROR', 'FORMERR', 'SERVFAIL', 'NXDOMAIN', 'NOTIMP', 'REFUSED'] as const;
export type ResponseCode = (typeof responseCodes)[number];

const labelBytesMax = 63;
const nameBytesMax = 255;

/** Whether a name fits into a question: labels of at most 63 bytes, 255 in all. */
export function isQueryName(name: string): boolean {
  const labels = name.replace(/\.$/, '').split('.');
  const isRoot = name === '.';
  return (
    name.length < nameBytesMax &&
    /^[\x21-\x7e]+$/.test(name) &&
    (isRoot || labels.every((label) => label !== '' && label.length <= labelBytesMax))
  );
}

/** @param id 0 to 65535; comes back in the answer */
export function encodeQuery(id: number, name: string, type: QueryType): Buffer {
  const head = Buffer.alloc(12);
  head.writeUInt16BE(id, 0);
  // Recursion desired; one question.
  head.writeUInt16BE(0x0100, 2);
  head.writeUInt16BE(1, 4);
  const labels = name === '.' ? [] : name.replace(/\.$/, '').split('.');
  const parts = labels.map((label) =>
    Buffer.concat([Buffer.from([label.length]), Buffer.from(label, 'latin1')]),
  );
  return Buffer.concat([head, ...parts, Buffer.from([0, 0, queryTypes[type], 0, 1])]);
}

/** @returns the code, and how many records answer; undefined: it is no answer to the question of that id */
export function decodeResponse(
  bytes: Buffer,
  id: number,
): { readonly code: ResponseCode | number; readonly answers: number } | undefined {
  if (bytes.length < 12 || bytes.readUInt16BE(0) !== id || (bytes[2]! & 0x80) === 0) return undefined;
  const code = bytes[3]! & 15;
  return { code: responseCodes[code] ?? code, answers: bytes.readUInt16BE(6) };
}
