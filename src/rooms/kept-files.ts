/**
 * Files that are read again while pinion runs, and what is made of them: tokens, passwords, certificates. Whoever writes one may be in
 * the middle of it, or has made a mistake, so what was made of it last stays in use:
 *
 *    read --good--> in use, and told once if it was told before that it cannot be used
 *        \--bad---> what was made before stays; still so a second later: told once, and looked at again until it is good
 *
 * One that was never good since this thread began gives nothing: whoever asks gets the reason. So a secret is not withdrawn by emptying or
 * removing its file, but by writing another one. Nothing that is told has a word of what stands in a file.
 */
import { readSecretFile } from './secret-files.ts';

/** What is told of files that are read together, in plain data. */
export interface FileWord {
  readonly is: 'unusable' | 'usable' | 'forgotten';
  /** The file, or all of them. */
  readonly file: string;
  /** Why; empty when it is usable. */
  readonly why: string;
  /** What was made of it before stays in use. */
  readonly isKept: boolean;
}

/** Why a file gives nothing. */
export class FileUnusable extends Error {
  /** An errno name, if the file could not be read. */
  readonly code: string | undefined;
  /** The one that could not be read. */
  readonly path: string | undefined;

  constructor(message: string, code?: string, path?: string) {
    super(message);
    this.code = code;
    this.path = path;
  }
}

/** Until what cannot be used is read again and told: whoever writes it may be in the middle. */
const doubtMs = 1_000;
const lookMs = 5_000;

interface Kept {
  readonly files: readonly string[];
  readonly parse: (texts: readonly string[]) => unknown;
  /** What was made of it last, and of which texts; undefined: it was never good. */
  good: { readonly value: unknown; readonly texts: readonly string[] } | undefined;
  /** It cannot be used now. */
  timer: NodeJS.Timeout | undefined;
  /** Why, as it was told last; undefined: nothing is told. */
  told: string | undefined;
}

export class KeptFiles {
  /** @returns false if the word was lost: it is told again later */
  tell: (word: FileWord) => boolean = () => true;
  private readonly entries = new Map<string, Kept>();

  /**
   * What is made of files as they are now, or were when they could be used last. Blocks.
   * @param what is made of them, in a word: tells two uses of a file apart
   * @param parse of the texts, in the order of `files`; called again only when one is another. Throws what is wrong, in an operator's words
   * @throws FileUnusable if it was never good
   */
  use<T>(what: string, files: readonly string[], parse: (texts: readonly string[]) => T): T {
    const key = [what, ...files].join('\0');
    const kept = this.entries.get(key) ?? {
      files,
      parse,
      good: undefined,
      timer: undefined,
      told: undefined,
    };
    this.entries.set(key, kept);
    const why = this.read(kept);
    if (why !== undefined && kept.timer === undefined) this.lookAgain(kept, doubtMs);
    if (kept.good === undefined) throw why!;
    return kept.good.value as T;
  }

  /** Nothing was read so far, or all of it is forgotten. */
  get isEmpty(): boolean {
    return this.entries.size === 0;
  }

  /** Drops what is made of files that are of no use any more. */
  forgetAllBut(used: ReadonlySet<string>): void {
    for (const [key, kept] of this.entries) {
      if (kept.files.every((file) => used.has(file))) continue;
      clearTimeout(kept.timer);
      this.entries.delete(key);
      if (kept.told !== undefined) this.tell(wordOf(kept, 'forgotten'));
    }
  }

  /** @returns why it cannot be used as it is now */
  private read(kept: Kept): FileUnusable | undefined {
    try {
      const texts = kept.files.map(textOf);
      if (kept.good === undefined || texts.some((text, i) => text !== kept.good!.texts[i]))
        kept.good = { value: kept.parse(texts), texts };
    } catch (error) {
      return error instanceof FileUnusable ? error : new FileUnusable((error as Error).message);
    }
    clearTimeout(kept.timer);
    kept.timer = undefined;
    if (kept.told === undefined) return undefined;
    if (this.tell(wordOf(kept, 'usable'))) kept.told = undefined;
    else this.lookAgain(kept, lookMs);
    return undefined;
  }

  private lookAgain(kept: Kept, inMs: number): void {
    kept.timer = setTimeout(() => {
      const why = this.read(kept)?.message;
      if (why === undefined) return;
      if (why !== kept.told && this.tell(wordOf(kept, 'unusable', why))) kept.told = why;
      this.lookAgain(kept, lookMs);
    }, inMs);
    kept.timer.unref();
  }
}

/** Those of this thread. */
export const keptFiles = new KeptFiles();

function wordOf(kept: Kept, is: FileWord['is'], why = ''): FileWord {
  return { is, file: kept.files.join(', '), why, isKept: kept.good !== undefined };
}

function textOf(path: string): string {
  try {
    return readSecretFile(path);
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException;
    throw new FileUnusable(`${path} cannot be read: ${code ?? message}`, code, path);
  }
}
