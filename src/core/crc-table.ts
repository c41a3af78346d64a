/**
 * What each byte does to the register of a reflected 32-bit CRC: R. N. Williams, "A Painless Guide to CRC Error Detection Algorithms"
 * (1993), chapters 9 to 11.
 */

/** @param polynomial reflected. @returns 256 entries */
export function crcTable(polynomial: number): Int32Array {
  const entries = new Int32Array(256);
  for (let byte = 0; byte < 256; byte++) {
    let remainder = byte;
    for (let bit = 0; bit < 8; bit++) remainder = (remainder >>> 1) ^ (remainder & 1 ? polynomial : 0);
    entries[byte] = remainder;
  }
  return entries;
}
