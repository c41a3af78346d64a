/**
 * Commands for nftables: through libnftables where it is installed, through the `nft` command where it is not. Each call is one transaction
 * of the kernel, done whole or not at all, and calls are done in the order they were made. Everything happens in the network namespace
 * of this process.
 *
 * The library is some 3 ms cheaper a call (no process), and takes the same text. Both are nft 1.0.6 on Debian 12, which ends the
 * process on some declarations (a map `typeof jhash ...`) when it lists them: list no table that is not our own.
 */
import { spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { nftOutputBytesMax, nftRunMsMax } from '../core/limits.ts';
import { openNftables } from './libc.ts';

/** What was listed, or what is wrong in nft's words with their place in the text. */
export type NftResult =
  | { readonly ok: true; readonly output: string }
  | { readonly ok: false; readonly error: string };

export interface Nft {
  /** For messages: `libnftables`, or the command's path. */
  readonly means: string;
  /** Commands as nft(8) takes them with `-f`. Never rejects. */
  run(text: string): Promise<NftResult>;
  /** A command that lists; the output is JSON, as libnftables-json(5) has it. Never rejects. */
  list(text: string): Promise<NftResult>;
  close(): void;
}

/** Where the command may be that is in no PATH of ours. */
const folders = ['/usr/sbin', '/sbin', '/usr/local/sbin', '/usr/bin'];

/** @returns undefined: neither the library nor the command is installed */
export function openNft(): Nft | undefined {
  return openNftLibrary() ?? openNftCommand();
}

/** Through libnftables alone. */
export function openNftLibrary(): Nft | undefined {
  const library = openNftables();
  if (library === undefined) return undefined;
  const encoder = new TextEncoder();
  const run = async (text: string, isJson: boolean): Promise<NftResult> => {
    try {
      const { status, output, error } = await library.run(encoder.encode(text), isJson);
      if (status !== 0) return failed(error, `nftables answered ${status}`);
      if (output.length > nftOutputBytesMax) return failed('', 'it lists more than is read');
      return { ok: true, output };
    } catch (error) {
      return failed(String(error), '');
    }
  };
  return {
    means: 'libnftables',
    run: (text) => run(text, false),
    list: (text) => run(text, true),
    close: () => library.free(),
  };
}

/** Through the nft command alone. */
export function openNftCommand(): Nft | undefined {
  const path = folders.map((folder) => `${folder}/nft`).find((file) => existsSync(file));
  if (path === undefined) return undefined;
  let last: Promise<unknown> = Promise.resolve();
  const inOrder = (args: readonly string[], text: string): Promise<NftResult> => {
    const result = last.then(() => runCommand(path, args, text));
    last = result;
    return result;
  };
  return {
    means: path,
    run: (text) => inOrder(['-f', '-'], text),
    // It cannot read JSON's commands from a pipe of Node's, which is a socket; what lists is short.
    list: (text) => inOrder(['-j', text], ''),
    close: () => undefined,
  };
}

function runCommand(path: string, args: readonly string[], text: string): Promise<NftResult> {
  return new Promise((resolve) => {
    const child = spawn(path, args, { stdio: 'pipe', timeout: nftRunMsMax, killSignal: 'SIGKILL' });
    const output: Buffer[] = [];
    let error = '';
    let outputBytes = 0;
    child.stdout.on('data', (piece: Buffer) => {
      outputBytes += piece.length;
      if (outputBytes <= nftOutputBytesMax) output.push(piece);
      else child.kill('SIGKILL');
    });
    child.stderr.setEncoding('utf8').on('data', (piece: string) => {
      error = (error + piece).slice(0, errorCharactersMax);
    });
    // A command that ends early does not read all: how it ended tells why.
    child.stdin.on('error', () => undefined);
    child.on('error', (fault) => resolve(failed(fault.message, '')));
    child.on('close', (status, signal) => {
      if (status === 0) resolve({ ok: true, output: Buffer.concat(output).toString('utf8') });
      else resolve(failed(error, `${path} ended with ${signal ?? status}`));
    });
    child.stdin.end(text);
  });
}

const errorCharactersMax = 4_096;

/** @param otherwise what to say where nft said nothing */
function failed(error: string, otherwise: string): NftResult {
  const text = error.trim().slice(0, errorCharactersMax);
  return { ok: false, error: text === '' ? otherwise : text };
}
