/**
 * The text of a configuration file: bytes on a disk until they are known to be readable text of a sane size.
 * Only a regular file is opened: a FIFO that nobody writes to would hang for ever. Standard input and what a shell hands
 * over as a descriptor (`<(command)`) are read as well, at most the limit.
 * It does not look at what the text says.
 */
import { closeSync, fstatSync, openSync, readSync, statSync } from 'node:fs';
import { configFileBytesMax } from '../core/limits.ts';
import type { Reading } from '../core/options.ts';

const readFailures: Readonly<Record<string, string>> = {
  ENOENT: 'there is no such file',
  EACCES: 'may not be read by this user',
  EPERM: 'may not be read by this user',
  EISDIR: 'is a directory, not a file',
  ENOTDIR: 'is below something that is not a directory',
  ELOOP: 'is a loop of symbolic links',
  ENAMETOOLONG: 'has too long a name',
};

/** Names of descriptors this process was given: whoever gave them is there to write. */
const givenDescriptor = /^\/dev\/(stdin|fd\/\d+)$/;

/** Reads a file whole, as UTF-8 (a byte order mark is dropped). Blocks; never throws: every failure is a refusal. */
export function readText(path: string, bytesMax = configFileBytesMax): Reading<string> {
  let fd: number;
  try {
    const stat = statSync(path);
    if (stat.isDirectory()) return { refused: 'is a directory, not a file' };
    if (!stat.isFile() && !givenDescriptor.test(path)) return { refused: 'is not a regular file' };
    fd = openSync(path, 'r');
  } catch (error) {
    return { refused: describeFailure(error) };
  }
  try {
    const { size } = fstatSync(fd);
    if (size > bytesMax) return tooLarge(size, bytesMax);
    const bytes = readBounded(fd, bytesMax);
    return bytes.length > bytesMax ? tooLarge(undefined, bytesMax) : decodeText(bytes);
  } catch (error) {
    return { refused: describeFailure(error) };
  } finally {
    closeSync(fd);
  }
}

/** UTF-8 bytes as text; refuses what is not text, naming the line of a NUL byte. */
function decodeText(bytes: Uint8Array): Reading<string> {
  if ((bytes[0] === 0xff && bytes[1] === 0xfe) || (bytes[0] === 0xfe && bytes[1] === 0xff)) {
    return { refused: 'is UTF-16 text; save it as UTF-8' };
  }
  const nul = bytes.indexOf(0);
  if (nul >= 0) return { refused: `is not text: it has a NUL byte in line ${lineOf(bytes, nul)}` };
  try {
    return { value: new TextDecoder('utf-8', { fatal: true }).decode(bytes) };
  } catch {
    return { refused: 'is not text: it is not valid UTF-8' };
  }
}

/** Everything up to one byte past the limit: the size of what is not a plain file is known only by reading. */
function readBounded(fd: number, bytesMax: number): Buffer {
  const chunks: Buffer[] = [];
  let total = 0;
  while (total <= bytesMax) {
    const chunk = Buffer.alloc(Math.min(65_536, bytesMax + 1 - total));
    const length = readSync(fd, chunk, 0, chunk.length, null);
    if (length === 0) break;
    chunks.push(chunk.subarray(0, length));
    total += length;
  }
  return Buffer.concat(chunks);
}

function tooLarge(bytes: number | undefined, bytesMax: number): Reading<string> {
  const limit = `${bytesMax / 1024 / 1024} MiB`;
  const noun = bytesMax === configFileBytesMax ? 'a configuration' : 'such a file';
  return {
    refused:
      bytes === undefined ? `is larger than ${limit}` : `is ${bytes} bytes; ${noun} has at most ${limit}`,
  };
}

function lineOf(bytes: Uint8Array, offset: number): number {
  let line = 1;
  for (let i = 0; i < offset; i++) if (bytes[i] === 10) line++;
  return line;
}

function describeFailure(error: unknown): string {
  const code = (error as NodeJS.ErrnoException).code ?? '';
  return readFailures[code] ?? `cannot be read: ${error instanceof Error ? error.message : String(error)}`;
}
