/** Minecraft, Java edition. */
import { text } from '../../core/options.ts';
import { decodeStatus, encodeStatusQuestion, statusLength } from '../../wire/minecraft.ts';
import { dialect } from '../dialect.ts';
import { gameOptions, judgePlayers, noAnswer } from '../games.ts';
import { overTcp } from '../stream.ts';

export const minecraft = dialect({
  meaning: 'a Minecraft server of the Java edition answers a status request',
  options: {
    ...gameOptions,
    host: text(
      'The name by which the server is asked, for proxies that go by it. Default: its address.',
      undefined,
    ),
  },
  ask: (asked) =>
    overTcp(asked, async (stream) => {
      const { options, target } = asked;
      const [ip, port] = target.kind === 'inet' ? [target.ip, target.port] : ['localhost', 0];
      stream.write(encodeStatusQuestion(options.host ?? ip, port));
      const info = decodeStatus(await stream.read(statusLength));
      return info === undefined ? noAnswer('status') : judgePlayers(info, options.players);
    }),
});
