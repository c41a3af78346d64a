/**
 * A file that lists addresses and networks, one a line; what follows `#` or `;` is a comment (published lists have either). Read
 * within bounds, and refused whole with the first line that is wrong: half a list would let in, or keep out, the wrong ones.
 */
import { RangesBuilder } from '../core/address-ranges.ts';
import { parseCidr } from '../core/cidr.ts';
import { addressFileBytesMax, listedNetworksMax } from '../core/limits.ts';
import type { Reading } from '../core/options.ts';
import { showValue } from './problem.ts';
import { readText } from './text.ts';

export interface AddressFile {
  /** Sorted, for AddressRanges (core/address-ranges.ts). */
  readonly shared: SharedArrayBuffer;
  /** Lines with an address or a network. */
  readonly entries: number;
}

/** Reads the file at `path`. Blocks; never throws: what it refuses begins with the place. */
export function readAddressFile(path: string): Reading<AddressFile> {
  const text = readText(path, addressFileBytesMax);
  return 'value' in text ? parseAddressFile(text.value, path) : { refused: `${path}: ${text.refused}` };
}

/** The same for a text. `source` is what problems call it. A hundred thousand lines take some 0.2 s. */
export function parseAddressFile(text: string, source: string): Reading<AddressFile> {
  const builder = new RangesBuilder();
  let line = 0;
  for (let start = 0; start <= text.length; ) {
    const end = text.indexOf('\n', start);
    const whole = text.slice(start, end < 0 ? text.length : end);
    start = end < 0 ? text.length + 1 : end + 1;
    line++;
    const entry = withoutComment(whole);
    if (entry === '') continue;
    const cidr = parseCidr(entry);
    if (cidr === undefined) return { refused: `${source}:${line}: ${noNetwork(entry)}` };
    if (builder.size === listedNetworksMax)
      return { refused: `${source}:${line}: has more than ${listedNetworksMax} networks` };
    builder.add(cidr, line);
  }
  return { value: { shared: builder.build(), entries: builder.size } };
}

function withoutComment(line: string): string {
  const comment = line.search(/[#;]/);
  return (comment < 0 ? line : line.slice(0, comment)).trim();
}

/** Why `text` is not an address or a network. */
export function noNetwork(text: string): string {
  const shown = showValue(text);
  if (text.includes('%')) return `IPv6 zones (the part after %) are not supported: ${shown}`;
  return `${shown} is neither an address nor a network such as 192.0.2.0/24 or 2001:db8::/32`;
}
