/**
 * Files that are read again while pinion runs, and what is made of them: tokens, passwords, certificates. Whoever writes one may be in
 * the middle of it, or has made a mistake, so what was made of it last stays in use:
 *
 *    read --good--> in use, and told once if it was told before that it cannot be used
 *        \--bad---> what was made before stays; still so a second later: told once, and looked at again until it is good
 *
 * What is kept is handed over: to control, which has it until it is another one or of no use any more, and by control to the next thread of
 * the same room, which begins with it where a file cannot be used. Otherwise a room that dies would take with it what the file said.
 *
 * One that was never good since the process began gives nothing: whoever asks gets the reason. So a secret is not withdrawn by emptying or
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

/** What could be used last, by what is made of which files: their texts, which are secrets. For a thread and control alone, never told. */
export type KeptTexts = ReadonlyMap<string, readonly string[]>;

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
  readonly key: string;
  readonly files: readonly string[];
  readonly parse: (texts: readonly string[]) => unknown;
  /** What was made of it last, and of which texts; undefined: it was never good. */
  good: { readonly value: unknown; readonly texts: readonly string[]; isHandedOver: boolean } | undefined;
  /** It cannot be used now. */
  timer: NodeJS.Timeout | undefined;
  /** Why, as it was told last; undefined: nothing is told. */
  told: string | undefined;
}

export class KeptFiles {
  /** @returns false if the word was lost: it is told again later */
  tell: (word: FileWord) => boolean = () => true;
  /**
   * What a thread that follows on this one is to begin with. `texts` undefined: it is of no use any more.
   * @returns false if it was lost: it is handed over again later
   */
  handOver: (key: string, texts: readonly string[] | undefined) => boolean = () => true;
  private readonly entries = new Map<string, Kept>();
  /** What the thread before this one has left, as long as nobody has asked for it. */
  private readonly left = new Map<string, readonly string[]>();

  /** What the thread before has handed over: in use where a file cannot be used. */
  inherit(texts: KeptTexts): void {
    for (const [key, of] of texts) this.left.set(key, of);
  }

  /**
   * What is made of files as they are now, or were when they could be used last. Blocks.
   * @param what is made of them, in a word: tells two uses of a file apart
   * @param parse of the texts, in the order of `files`; called again only when one is another. Throws what is wrong, in an operator's words
   * @throws FileUnusable if it was never good
   */
  use<T>(what: string, files: readonly string[], parse: (texts: readonly string[]) => T): T {
    const key = keyOf(what, files);
    const kept = this.entries.get(key) ?? {
      key,
      files,
      parse,
      good: undefined,
      timer: undefined,
      told: undefined,
    };
    this.entries.set(key, kept);
    const why = this.read(kept);
    if (why !== undefined) kept.good ??= this.goodOf(kept, this.left.get(key));
    this.left.delete(key);
    if (why !== undefined && kept.timer === undefined) this.lookAgain(kept, doubtMs);
    if (kept.good === undefined) throw why!;
    return kept.good.value as T;
  }

  /** Nothing was read so far, or all of it is forgotten. */
  get isEmpty(): boolean {
    return this.entries.size + this.left.size === 0;
  }

  /** Drops what is made of files that are of no use any more. */
  forgetAllBut(used: ReadonlySet<string>): void {
    for (const [key, kept] of this.entries) {
      if (kept.files.every((file) => used.has(file))) continue;
      clearTimeout(kept.timer);
      this.entries.delete(key);
      this.handOver(key, undefined);
      if (kept.told !== undefined) this.tell(wordOf(kept, 'forgotten'));
    }
    for (const key of this.left.keys()) {
      if (filesIn(key).every((file) => used.has(file))) continue;
      this.left.delete(key);
      this.handOver(key, undefined);
    }
  }

  /** @returns why it cannot be used as it is now */
  private read(kept: Kept): FileUnusable | undefined {
    try {
      const texts = kept.files.map(textOf);
      if (kept.good === undefined || texts.some((text, i) => text !== kept.good!.texts[i]))
        kept.good = { value: kept.parse(texts), texts, isHandedOver: false };
    } catch (error) {
      return error instanceof FileUnusable ? error : new FileUnusable((error as Error).message);
    }
    const { good } = kept;
    if (!good!.isHandedOver) good!.isHandedOver = this.handOver(kept.key, good!.texts);
    clearTimeout(kept.timer);
    kept.timer = undefined;
    if (kept.told === undefined) return undefined;
    if (this.tell(wordOf(kept, 'usable'))) kept.told = undefined;
    else this.lookAgain(kept, lookMs);
    return undefined;
  }

  /** Of texts that were good in the thread before: not what they are for this one if it makes something else of them. */
  private goodOf({ parse }: Kept, texts: readonly string[] | undefined): Kept['good'] {
    if (texts === undefined) return undefined;
    try {
      return { value: parse(texts), texts, isHandedOver: true };
    } catch {
      return undefined;
    }
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

function keyOf(what: string, files: readonly string[]): string {
  return [what, ...files].join('\0');
}

function filesIn(key: string): string[] {
  return key.split('\0').slice(1);
}

function textOf(path: string): string {
  try {
    return readSecretFile(path);
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException;
    throw new FileUnusable(`${path} cannot be read: ${code ?? message}`, code, path);
  }
}
