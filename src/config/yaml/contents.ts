/**
 * What has been read so far: plain values that remember where they were written, the anchors that aliases may stand
 * for, and how much there is of all of it.
 */
import { problemsMax, yamlKeysPerMapMax, yamlNestingMax, yamlValuesMax } from '../../core/limits.ts';
import { type Path, shorten } from '../problem.ts';
import type { Cursor } from './cursor.ts';

export type YamlMap = Record<string, unknown>;

/** Offsets into the text. */
export interface KeyMark {
  readonly key: number;
  readonly value: number;
}

/** Where the items of a list are written. */
export type ListMarks = number[];
/** Where the keys of a map and their values are written. */
export type MapMarks = Map<string, KeyMark>;

/** Something YAML allows and a configuration does not. */
export interface Fault {
  readonly offset: number;
  /** Where it was first, for what is there twice. */
  readonly firstOffset: number | undefined;
  readonly path: Path;
  readonly message: string;
  /** The values cannot be made from such a text. */
  readonly fatal: boolean;
}

/** What an alias may stand for. */
interface Anchored {
  readonly value: unknown;
  /** Keys and values in it. */
  count: number;
  isOpen: boolean;
}

export class Contents {
  readonly marks = new Map<object, ListMarks | MapMarks>();
  /** The first of them, in the order of the text. */
  readonly faults: Fault[] = [];
  /** How many more there were. */
  faultsLeftOut = 0;
  /** Steps down to what is being read. */
  readonly path: (string | number)[] = [];
  readonly #cursor: Cursor;
  readonly #anchors = new Map<string, Anchored>();
  #count = 0;
  #depth = 0;

  constructor(cursor: Cursor) {
    this.#cursor = cursor;
  }

  /** One more scalar. */
  scalar<T>(value: T, anchor: string | undefined): T {
    this.#add(1);
    if (anchor !== undefined) this.#anchors.set(anchor, { value, count: 1, isOpen: false });
    return value;
  }

  /** A list or map and what `read` puts into it. */
  within<T extends object, M extends ListMarks | MapMarks>(
    value: T,
    marks: M,
    offset: number,
    anchor: string | undefined,
    read: (value: T, marks: M) => void,
  ): T {
    if (++this.#depth > yamlNestingMax)
      this.#cursor.refuse(`is nested more than ${yamlNestingMax} levels deep`, offset);
    const before = this.#count;
    this.#add(1);
    this.marks.set(value, marks);
    const anchored = { value, count: 0, isOpen: true };
    if (anchor !== undefined) this.#anchors.set(anchor, anchored);
    read(value, marks);
    anchored.count = this.#count - before;
    anchored.isOpen = false;
    this.#depth--;
    return value;
  }

  /** What `*name` at `offset` stands for: shared, and counted each time. */
  alias(name: string, offset: number): unknown {
    this.#add(1);
    const anchored = this.#anchors.get(name);
    if (anchored === undefined) {
      this.#fault(offset, `there is no anchor &${shorten(name)} before this alias`, this.path, true);
      return null;
    }
    if (anchored.isOpen) {
      this.#fault(offset, `the alias *${shorten(name)} is inside of what it stands for`, this.path, true);
      return null;
    }
    this.#add(anchored.count - 1);
    return anchored.value;
  }

  /** The first of two equal keys counts. */
  put(map: YamlMap, marks: MapMarks, key: string, value: unknown, mark: KeyMark): void {
    this.#add(1);
    const first = marks.get(key);
    if (key === '__proto__') this.#fault(mark.key, 'is not allowed as a key', [...this.path, key], false);
    else if (first !== undefined)
      this.#fault(mark.key, 'is given twice', [...this.path, key], false, first.key);
    else {
      if (marks.size === yamlKeysPerMapMax)
        this.#cursor.refuse(`is the first key too many: a map has at most ${yamlKeysPerMapMax}`, mark.key);
      map[key] = value;
      marks.set(key, mark);
    }
  }

  #fault(offset: number, message: string, path: Path, fatal: boolean, firstOffset?: number): void {
    if (this.faults.length < problemsMax || (fatal && !this.faults.some((fault) => fault.fatal)))
      this.faults.push({ offset, firstOffset, path: [...path], message, fatal });
    else this.faultsLeftOut++;
  }

  #add(count: number): void {
    this.#count += count;
    if (this.#count <= yamlValuesMax) return;
    const why = 'what an alias stands for counts each time';
    this.#cursor.refuse(`has more than ${yamlValuesMax} keys and values (${why})`);
  }
}
