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
