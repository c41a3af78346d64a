/** Source engine servers (and all that answer their question). */
import { decodeInfoAnswer, encodeInfoQuestion } from '../../wire/source-query.ts';
import { overUdp } from '../datagrams.ts';
import { dialect } from '../dialect.ts';
import { gameOptions, judgePlayers, noAnswer } from '../games.ts';

/** A server asks for a challenge once; one that goes on asking is none. */
const challengesMax = 2;

export const a2s = dialect({
  meaning: 'a Source engine server answers A2S_INFO, challenge included',
  reach: () => 'udp',
  options: gameOptions,
  ask: (asked) =>
    overUdp(asked, async (datagrams) => {
      const { options } = asked;
      datagrams.send(encodeInfoQuestion());
      for (let asked = 0; asked <= challengesMax; asked++) {
        const answer = decodeInfoAnswer(await datagrams.next());
        if (answer === undefined) return noAnswer('A2S_INFO');
        if (!('challenge' in answer)) return judgePlayers(answer, options.players);
        datagrams.send(encodeInfoQuestion(answer.challenge));
      }
      return noAnswer('A2S_INFO: it asks for one challenge after the other');
    }),
});
