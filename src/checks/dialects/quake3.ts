/** Quake III and its family. */
import { decodeStatusResponse, encodeGetStatus } from '../../wire/quake3.ts';
import { overUdp } from '../datagrams.ts';
import { dialect } from '../dialect.ts';
import { gameOptions, judgePlayers, noAnswer } from '../games.ts';

export const quake3 = dialect({
  meaning: 'a server of the Quake III family answers getstatus',
  reach: () => 'udp',
  options: gameOptions,
  ask: (asked) =>
    overUdp(asked, async (datagrams) => {
      const { options } = asked;
      datagrams.send(encodeGetStatus());
      const info = decodeStatusResponse(await datagrams.next());
      return info === undefined ? noAnswer('statusResponse') : judgePlayers(info, options.players);
    }),
});
