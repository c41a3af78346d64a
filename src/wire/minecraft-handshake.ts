/**
 * What a client of Minecraft, Java edition, says first: the host it was told to join, which a proxy may route by. A handshake
 * (https://minecraft.wiki/w/Java_Edition_protocol/Packets#Handshake), or the ping of clients before version 1.7
 * (https://minecraft.wiki/w/Java_Edition_protocol/Server_List_Ping#1.6), which names a host from version 1.6 on.
 */
export interface MinecraftHandshake {
  /** `ping`: the list of servers asks, as it did before 1.7. `transfer`: another server has sent the client here. */
  readonly next: 'status' | 'login' | 'transfer' | 'ping';
  /** Of the client; 0: it does not say. */
  readonly protocolVersion: number;
  /**
   * As it was sent, but for what follows a NUL (Forge's marks: `\0FML\0`, `\0FML2\0`, `\0FML3\0`; the client's address and more from
   * BungeeCord), and for a dot at its end, which names that come from an SRV record have. Undefined: a ping that names none.
   */
  readonly host: string | undefined;
  readonly port: number;
  /** Bytes of all of it. */
  readonly length: number;
}

/** BungeeCord adds a player's skin, which has a few thousand. Bytes of the packet. */
const handshakeBytesMax = 16 * 1024;
/** A packet's number, the version, and a name of nothing: with port and next state there is no shorter one. */
const handshakeBytesMin = 6;
const nexts = [undefined, 'status', 'login', 'transfer'] as const;

/** A packet's length has at most so many bytes, any other number 5. */
const lengthBytesMax = 3;
const varIntBytesMax = 5;

const ping = 0xfe;
/** A plugin message, its channel (a length, and UTF-16), and what follows but for the name. */
const pluginMessage = 0xfa;
const channel = Uint8Array.from('\0\x0b\0M\0C\0|\0P\0i\0n\0g\0H\0o\0s\0t', (letter) => letter.charCodeAt(0));
const pingBytesMin = 7;
const pingHostCharactersMax = 255;

const utf8 = new TextDecoder();
const utf16 = new TextDecoder('utf-16be');

/**
 * @param bytes the first ones of a connection
 * @param isAll no more comes, or has for too long: then a ping that could go on to name a host is one that does not
 * @returns 'more': so far it is one. Undefined: it is none
 */
export function readMinecraftHandshake(
  bytes: Uint8Array,
  isAll = false,
): MinecraftHandshake | 'more' | undefined {
  if (bytes[0] === ping) {
    // It may as well be the length of a packet.
    if (bytes.length === 1 || (bytes.length === 2 && bytes[1] === 1))
      return isAll
        ? { next: 'ping', protocolVersion: 0, host: undefined, port: 0, length: bytes.length }
        : 'more';
    if (bytes[1] === 1 && bytes[2] === pluginMessage) return readPing(bytes);
  }
  const size = readVarInt(bytes, 0, lengthBytesMax);
  if (size === undefined || size === 'more') return size;
  if (size.value < handshakeBytesMin || size.value > handshakeBytesMax) return undefined;
  const length = size.end + size.value;
  if (bytes.length > size.end && bytes[size.end] !== 0) return undefined;
  return bytes.length < length ? 'more' : readPacket(bytes.subarray(0, length), size.end + 1);
}

function readPacket(packet: Uint8Array, from: number): MinecraftHandshake | undefined {
  const version = readVarInt(packet, from, varIntBytesMax);
  if (typeof version !== 'object') return undefined;
  const name = readVarInt(packet, version.end, lengthBytesMax);
  if (typeof name !== 'object') return undefined;
  const nameEnd = name.end + name.value;
  // Behind it a port and a state.
  if (nameEnd + 3 !== packet.length) return undefined;
  const next = nexts[packet[nameEnd + 2]!];
  if (next === undefined) return undefined;
  return {
    next,
    protocolVersion: version.value,
    host: hostOf(utf8.decode(packet.subarray(name.end, nameEnd))),
    port: (packet[nameEnd]! << 8) | packet[nameEnd + 1]!,
    length: packet.length,
  };
}

/** The ping of version 1.6. Its client sends it byte by byte. */
function readPing(bytes: Uint8Array): MinecraftHandshake | 'more' | undefined {
  const at = 3 + channel.length;
  for (let i = 3; i < Math.min(at, bytes.length); i++) if (bytes[i] !== channel[i - 3]) return undefined;
  if (bytes.length < at + 5) return 'more';
  const rest = (bytes[at]! << 8) | bytes[at + 1]!;
  const characters = (bytes[at + 3]! << 8) | bytes[at + 4]!;
  if (characters > pingHostCharactersMax || rest !== pingBytesMin + 2 * characters) return undefined;
  const length = at + 2 + rest;
  if (bytes.length < length) return 'more';
  return {
    next: 'ping',
    protocolVersion: bytes[at + 2]!,
    host: hostOf(utf16.decode(bytes.subarray(at + 5, length - 4))),
    port: (bytes[length - 2]! << 8) | bytes[length - 1]!,
    length,
  };
}

function hostOf(text: string): string | undefined {
  const end = text.indexOf('\0');
  const name = end < 0 ? text : text.slice(0, end);
  return (name.endsWith('.') ? name.slice(0, -1) : name) || undefined;
}

/** Seven bits a byte, lowest first. @returns undefined: it is longer than `bytesMax` */
function readVarInt(
  bytes: Uint8Array,
  at: number,
  bytesMax: number,
): { readonly value: number; readonly end: number } | 'more' | undefined {
  let value = 0;
  for (let i = 0; i < bytesMax; i++) {
    const byte = bytes[at + i];
    if (byte === undefined) return 'more';
    value |= (byte & 127) << (7 * i);
    if (byte < 128) return { value, end: at + i + 1 };
  }
  return undefined;
}
