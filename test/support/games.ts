/**
 * What game servers answer, written from the descriptions of the protocols and not from our probes: qstat understands it
 * (test/checks-servers.test.ts).
 * https://developer.valvesoftware.com/wiki/Server_queries, https://github.com/ioquake/ioq3 (SVC_Status)
 */

/** A2S_INFO of a Source server: a dedicated one on Linux, for everybody, without VAC. */
export function a2sAnswer(players: number, slots: number): Buffer {
  return Buffer.concat([
    Buffer.from('ffffffff4911', 'hex'),
    Buffer.from('A server\0de_dust\0csgo\0Counter-Strike\0', 'latin1'),
    Buffer.from([0xda, 0x02, players, slots, 0, 0x64, 0x6c, 0, 0]),
    Buffer.from('1.38.7.9\0', 'latin1'),
  ]);
}

/** Asks once more, with these four bytes at the end. */
export const a2sChallenge = Buffer.from('ffffffff4101020304', 'hex');

/** Answers to getstatus, each player with score, ping and name. */
export function quake3Answer(players: number): Buffer {
  const rules = '\\sv_hostname\\A server\\sv_maxclients\\2\\mapname\\q3dm6';
  return Buffer.from(
    `\xff\xff\xff\xffstatusResponse\n${rules}\n${'0 50 "player"\n'.repeat(players)}`,
    'latin1',
  );
}

/** The status of a Minecraft server (Java): https://minecraft.wiki/w/Java_Edition_protocol/Server_List_Ping */
export function minecraftAnswer(players: number, slots: number): Buffer {
  const json = JSON.stringify({
    version: { name: '1.21', protocol: 767 },
    players: { online: players, max: slots },
    description: { text: 'A server' },
  });
  const text = Buffer.concat([varInt(json.length), Buffer.from(json)]);
  const packet = Buffer.concat([varInt(0), text]);
  return Buffer.concat([varInt(packet.length), packet]);
}

/** The unconnected pong of a Minecraft server (Bedrock), to a ping: https://minecraft.wiki/w/RakNet */
export function bedrockAnswer(ping: Buffer, players: number, slots: number): Buffer {
  const text = `MCPE;A server;767;1.21;${players};${slots};1;world;Survival;1;19132;19133;`;
  const length = Buffer.alloc(2);
  length.writeUInt16BE(text.length);
  const serverId = Buffer.alloc(8, 7);
  return Buffer.concat([
    Buffer.from([0x1c]),
    ping.subarray(1, 9),
    serverId,
    ping.subarray(9, 25),
    length,
    Buffer.from(text),
  ]);
}

/** Seven bits a byte, the lowest first. */
function varInt(value: number): Buffer {
  const bytes: number[] = [];
  let rest = value;
  for (; rest > 127; rest >>= 7) bytes.push((rest & 127) | 128);
  return Buffer.from([...bytes, rest]);
}
