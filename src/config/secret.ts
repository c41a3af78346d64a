/**
 * What of a text may be a secret. The only place where one belongs is the address of Redis
 * (`redis://user:password@host`), but an address may be written anywhere: under another key, as a key, with a typo in
 * its scheme. No other value of a configuration holds an @, but for the path of a unix socket.
 */

/** Longer texts with // in them are not looked at closely. Characters. */
const addressCharactersMax = 500;

/** The text without its secret: of an address that may have one only the scheme is left, as `redis://***`. */
export function maskSecret(text: string): string {
  if (!mayHoldSecret(text)) return text;
  const scheme = /^[A-Za-z][A-Za-z0-9+.-]{0,31}:\/\//.exec(text)?.[0];
  return `${scheme ?? ''}***`;
}

/** True if `text` may be, or hold, an address with a user or a password. */
export function mayHoldSecret(text: string): boolean {
  if (isPath(text)) return false;
  if (text.includes('@') || (text.length > addressCharactersMax && text.includes('//'))) return true;
  const rest = /^(?!tcp:|udp:)[^/]{0,32}\/\/(.*)$/s.exec(text)?.[1];
  // redis://:password without its host: what follows a colon is no port.
  return rest !== undefined && /:(?!\d{1,5}(?:[/,?]|$))/.test(rest.replace(/\[[^\]]*\]/g, ''));
}

/** True if `text`, which is a path or a name, has the form of an address with a password. */
export function mayBeAddress(text: string): boolean {
  const at = text.lastIndexOf('@');
  return text.includes('//') || (at >= 0 && text.lastIndexOf(':', at) >= 0);
}

/** `/run/user@1000/x.sock`, with or without `unix:`. */
function isPath(text: string): boolean {
  return /^(?:unix:)?\/(?!\/)[^:]*$/.test(text);
}

/** A finished message: what a rule forgot to mask. A word with an @ and a colon or slash is an address. */
export function maskMessage(message: string): string {
  if (!message.includes('@')) return message;
  return message.replace(/\S+/g, (word) => {
    if (!word.includes('@') || !/[:/]/.test(word)) return word;
    return isPath(word.replace(/["();,:]/g, (mark, at) => (at === 0 || at >= word.length - 2 ? '' : mark)))
      ? word
      : '***';
  });
}
