/** What people forget most often, said in so many words: without it the reader stumbles later, over something else. */
import type { Cursor } from './cursor.ts';

/** `[::1]:80`, also behind what a URL has before its host. In letters as many as an address has. */
const bareIpv6 = /([^\s,[\]{}"'#]*)(\[[0-9a-f:.]{0,45}(?:%[\w.-]{1,15})?\](?::\d+)?)/iy;
const scheme = /^[a-z][a-z0-9+.-]*:\/\/$/i;

/** To YAML its brackets are a list. `start` is where the value begins. */
export function refuseBareIpv6(cursor: Cursor, start: number): void {
  bareIpv6.lastIndex = start;
  const [, before = '', address] = bareIpv6.exec(cursor.text) ?? [];
  // Brackets alone may be a list.
  if (address === undefined || !/:.*\]/.test(address) || (before === '' && address.endsWith(']'))) return;
  // What is no scheme may be a password.
  const shown = before === '' || scheme.test(before) ? before : '...';
  cursor.fail(`put an IPv6 address in quotes: "${shown}${address}"`, start);
}

/** `key:value` is one word to YAML. `text` begins at `start`: where a key may stand, or it means nothing. */
export function refuseJoinedColon(cursor: Cursor, text: string, start: number): void {
  const before = cursor.text.slice(cursor.text.lastIndexOf('\n', start) + 1, start);
  const key = /^[a-z_][\w.-]*(?=:(?!\/\/)\S)/i.exec(text)?.[0];
  if (key === undefined || !/^[ \t-]*$/.test(before)) return;
  cursor.fail('a space is missing after this colon', start + key.length);
}

/** `${DB1}`, which a shell or a compose file would fill in. In brackets it is the word `$` and then a map to YAML. */
export function refuseVariable(cursor: Cursor): void {
  const { text, at } = cursor;
  const name =
    text.charAt(at) === '{' && text.charAt(at - 1) === '$'
      ? /^\{(\w{1,64})/.exec(text.slice(at, at + 66))?.[1]
      : undefined;
  if (name !== undefined)
    cursor.fail(`pinion fills in no variables: write the value in place of \${${name}}`, at - 1);
}
