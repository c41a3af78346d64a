/**
 * Inputs that a stranger might send: samples changed in one to four places, cheaply and from a seed, so that a failure comes again.
 * Some 200,000 take a fraction of a second; PINION_LONG=1 tries so many more that each parser has had more than a million.
 */

const longFactor = 10;

/** xorshift32 (Marsaglia 2003): the next state, unsigned, never 0. */
export function nextRandom(state: number): number {
  let next = state;
  next ^= next << 13;
  next ^= next >>> 17;
  next ^= next << 5;
  return next >>> 0;
}

/**
 * Calls `attempt` with mutated samples. What it is given is valid until it returns.
 * @param count of inputs; under PINION_LONG ten times as many
 * @param bytesMax inputs are cut to so many
 */
export function mutate(
  samples: readonly Uint8Array[],
  count: number,
  attempt: (bytes: Uint8Array) => void,
  { seed = 20_261_128, bytesMax = 4_096 } = {},
): void {
  const times = process.env.PINION_LONG === undefined ? count : count * longFactor;
  const room = new Uint8Array(bytesMax * 2);
  let state = seed;
  const below = (n: number): number => {
    state = nextRandom(state);
    return n === 0 ? 0 : state % n;
  };
  for (let i = 0; i < times; i++) {
    const sample = samples[below(samples.length)]!;
    room.set(sample);
    let length = sample.length;
    for (let changes = 1 + below(4); changes > 0; changes--) {
      length = change(room, length, samples[below(samples.length)]!, below);
      if (length > bytesMax) length = bytesMax;
    }
    attempt(room.subarray(0, length));
  }
}

/** Values that lengths and kinds are most likely to trip over. */
const edges = [0x00, 0x01, 0x02, 0x03, 0x7f, 0x80, 0x81, 0xfe, 0xff] as const;

/** @returns the new length */
function change(bytes: Uint8Array, length: number, other: Uint8Array, below: (n: number) => number): number {
  const at = below(length);
  switch (below(8)) {
    case 0:
      bytes[at]! ^= 1 << below(8);
      return length;
    case 1:
      bytes[at] = edges[below(edges.length)]!;
      return length;
    case 2:
      bytes[at] = bytes[at]! + (below(2) === 0 ? 1 : 255);
      return length;
    case 3:
      // One byte short, or any number.
      return below(2) === 0 ? Math.max(0, length - 1) : at;
    case 4: {
      const size = 1 + below(8);
      bytes.copyWithin(at + size, at, length);
      return length + size;
    }
    case 5: {
      const size = Math.min(1 + below(8), length - at);
      bytes.copyWithin(at, at + size, length);
      return Math.max(0, length - size);
    }
    case 6: {
      const from = below(other.length);
      const part = other.subarray(from, from + 1 + below(32));
      bytes.set(part, at);
      return Math.max(length, at + part.length);
    }
    default: {
      bytes[at] = 0xff;
      bytes[at + 1] = 0xff;
      return length;
    }
  }
}
