/** What was pressed, from the bytes that a terminal in raw mode sends (ECMA-48, and xterm's control sequences for its keys). */

export type Key =
  | 'up'
  | 'down'
  | 'left'
  | 'right'
  | 'home'
  | 'end'
  | 'page-up'
  | 'page-down'
  | 'tab'
  | 'back-tab'
  | 'enter'
  | 'escape'
  | 'backspace'
  | 'ctrl-c'
  | 'ctrl-l'
  | 'ctrl-u'
  /** A character that prints. */
  | { readonly text: string };

const sequences: Readonly<Record<string, Key>> = {
  '[A': 'up',
  '[B': 'down',
  '[C': 'right',
  '[D': 'left',
  OA: 'up',
  OB: 'down',
  OC: 'right',
  OD: 'left',
  '[H': 'home',
  '[F': 'end',
  OH: 'home',
  OF: 'end',
  '[1~': 'home',
  '[4~': 'end',
  '[7~': 'home',
  '[8~': 'end',
  '[5~': 'page-up',
  '[6~': 'page-down',
  '[Z': 'back-tab',
};

const controls: Readonly<Record<string, Key>> = {
  '\t': 'tab',
  '\r': 'enter',
  '\n': 'enter',
  '\x7f': 'backspace',
  '\b': 'backspace',
  '\x03': 'ctrl-c',
  '\x0c': 'ctrl-l',
  '\x15': 'ctrl-u',
};

/**
 * Keys that are pressed quickly, or pasted, come together. An escape sequence comes whole: terminals write it at once, and what is cut
 * all the same is taken for the escape key. Unknown ones are nothing.
 */
export function keysIn(text: string): Key[] {
  const keys: Key[] = [];
  let rest = text;
  while (rest !== '') {
    // CSI with its parameters and final byte, SS3 with its letter, or the escape key by itself.
    // biome-ignore lint/suspicious/noControlCharactersInRegex: that is how they begin.
    const sequence = /^\x1b(\[[0-?]*[ -/]*[@-~]|O[A-Za-z])/.exec(rest);
    if (sequence !== null) {
      const key = sequences[sequence[1]!];
      if (key !== undefined) keys.push(key);
      rest = rest.slice(sequence[0].length);
      continue;
    }
    const [character = ''] = rest;
    rest = rest.slice(character.length);
    if (character === '\x1b') keys.push('escape');
    else if (controls[character] !== undefined) keys.push(controls[character]);
    else if (!/\p{Cc}/u.test(character)) keys.push({ text: character });
  }
  return keys;
}
