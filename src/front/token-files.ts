/**
 * The tokens of the admin API: each the first line of a file, read again when the file has changed. A file that cannot be used, or whose
 * token is short enough to be guessed, gives no token: then nobody has it, and on the unix socket nobody needs one.
 */
import { statSync } from 'node:fs';
import { tokenCharactersMin } from '../core/limits.ts';
import type { AdminPlan } from '../core/plan.ts';
import { passwordIn, passwordPath, readSecretFile } from '../rooms/secret-files.ts';
import type { Tokens } from './gate.ts';

/** Strangers decide how often they present a token, so a file is not looked at more often. */
const lookEveryMs = 1_000;

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

  /** Why a file gives no token, with what to do; undefined: all do. */
  get problem(): string | undefined {
    return this.read.problem ?? this.write.problem;
  }
}

class TokenFile {
  problem: string | undefined;
  private readonly path: string | undefined;
  private token: string | undefined;
  private version = '';
  private lookedAtMs = Number.NEGATIVE_INFINITY;

  constructor(file: string | undefined) {
    this.path = file === undefined ? undefined : passwordPath(file);
    this.now();
  }

  now(): string | undefined {
    const nowMs = performance.now();
    if (this.path === undefined || nowMs - this.lookedAtMs < lookEveryMs) return this.token;
    this.lookedAtMs = nowMs;
    try {
      const { mtimeMs, ctimeMs, size, ino } = statSync(this.path);
      // Its time alone may be that of the one before: `cp -p`, `rsync -t`.
      const version = `${mtimeMs} ${ctimeMs} ${size} ${ino}`;
      if (version === this.version) return this.token;
      const token = passwordIn(readSecretFile(this.path));
      this.version = version;
      this.problem = problemOf(token, this.path);
      this.token = this.problem === undefined ? token : undefined;
    } catch (error) {
      const { code, message } = error as NodeJS.ErrnoException;
      this.version = '';
      this.problem = `${this.path}: ${code ?? message}`;
      this.token = undefined;
    }
    return this.token;
  }
}

/** Never with the token in it. */
function problemOf(token: string, path: string): string | undefined {
  const make = `make one: openssl rand -hex 32 > ${path}`;
  if (token.length < tokenCharactersMin)
    return `${path}: its token has ${token.length} characters, at least ${tokenCharactersMin} are needed; ${make}`;
  if (!/^[\x21-\x7e]{1,512}$/.test(token))
    return `${path}: its token has characters that no header can carry; ${make}`;
  return undefined;
}
