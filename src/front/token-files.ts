/**
 * The tokens of the admin API: each the first line of a file, read again when the file has changed. A file that cannot be used, or whose
 * token is short enough to be guessed, gives no token: the one before stays, so that nobody is locked out by a file that is half written
 * (rooms/kept-files.ts). If there was none nobody has it, and on the unix socket nobody needs one.
 */
import { tokenCharactersMin } from '../core/limits.ts';
import type { AdminPlan } from '../core/plan.ts';
import { keptFiles } from '../rooms/kept-files.ts';
import { passwordIn, passwordPath } from '../rooms/secret-files.ts';
import type { Tokens } from './gate.ts';

/** Strangers decide how often they present a token, so a file is not read more often. */
const lookEveryMs = 1_000;
/** Although nobody presents one: that a file cannot be used is told before somebody needs it. */
const watchEveryMs = 5_000;

export class TokenFiles {
  private readonly read: TokenFile;
  private readonly write: TokenFile;

  constructor({ readFile, writeFile }: NonNullable<AdminPlan['tokens']>) {
    this.read = new TokenFile(readFile);
    this.write = new TokenFile(writeFile);
  }

  get now(): Tokens {
    return { read: this.read.now(), write: this.write.now() };
  }

  /** Why there is no token of a file, with what to do; undefined: there is one of each. */
  get problem(): string | undefined {
    return this.read.problem ?? this.write.problem;
  }

  /** Reads them from time to time, for as long as this thread lives. */
  watch(): void {
    setInterval(() => this.now, watchEveryMs).unref();
  }
}

class TokenFile {
  problem: string | undefined;
  private readonly path: string | undefined;
  private token: string | undefined;
  private lookedAtMs = Number.NEGATIVE_INFINITY;

  constructor(file: string | undefined) {
    this.path = file === undefined ? undefined : passwordPath(file);
    this.now();
  }

  now(): string | undefined {
    const nowMs = performance.now();
    const { path } = this;
    if (path === undefined || nowMs - this.lookedAtMs < lookEveryMs) return this.token;
    this.lookedAtMs = nowMs;
    try {
      this.token = keptFiles.use('token', [path], ([text]) => tokenIn(text!, path));
      this.problem = undefined;
    } catch (error) {
      this.problem = (error as Error).message;
    }
    return this.token;
  }
}

/** @throws Error never with the token in it */
function tokenIn(text: string, path: string): string {
  const token = passwordIn(text);
  const make = `make one: openssl rand -hex 32 > ${path}`;
  if (token.length < tokenCharactersMin)
    throw new Error(
      `${path}: its token has ${token.length} characters, at least ${tokenCharactersMin} are needed; ${make}`,
    );
  if (!/^[\x21-\x7e]{1,512}$/.test(token))
    throw new Error(`${path}: its token has characters that no header can carry; ${make}`);
  return token;
}
