/** Minecraft, Bedrock edition, and other RakNet servers. */
import { randomBytes } from 'node:crypto';
import { decodePong, encodePing } from '../../wire/raknet.ts';
import { overUdp } from '../datagrams.ts';
import { dialect } from '../dialect.ts';
import { gameOptions, judgePlayers, noAnswer } from '../games.ts';

export const bedrock = dialect({
  meaning: 'a Minecraft server of the Bedrock edition (RakNet) answers an unconnected ping',
  reach: () => 'udp',
  options: gameOptions,
  ask: (asked) =>
    overUdp(asked, async (datagrams) => {
      const { options } = asked;
      const time = randomBytes(8).readBigUInt64BE();
      datagrams.send(encodePing(time, randomBytes(8)));
      const info = decodePong(await datagrams.next(), time);
      return info === undefined ? noAnswer('unconnected pong') : judgePlayers(info, options.players);
    }),
});
