/**
 * An agent beside the server that says in one line how it is, as HAProxy's agent-check has it: words and a percentage, separated by
 * blanks or commas. https://docs.haproxy.org/3.0/configuration.html#5.2-agent-check
 */
import { text } from '../../core/options.ts';
import { type CheckResult, dialect, failed } from '../dialect.ts';
import { firstLine } from '../faults.ts';
import { overTcp } from '../stream.ts';

/** Its answer must fit into this. Bytes. */
const lineBytesMax = 1_024;

export const agent = dialect({
  meaning:
    "an agent (HAProxy's agent-check) says that the server is up, and how much of its weight it is to have",
  reach: () => 'beside',
  options: { send: text('What is said to the agent first. Default: nothing.', undefined) },
  ask: (asked) =>
    overTcp(asked, async (stream) => {
      const { options } = asked;
      if (options.send !== undefined) stream.write(options.send);
      const line = await stream.read((all) => {
        const end = all.indexOf(10);
        if (end < 0 && all.length > lineBytesMax) throw new RangeError('it says no line');
        return end < 0 ? undefined : end + 1;
      });
      return judgeLine(line.toString('latin1'));
    }),
});

/** The words that say it has no clients to get, and those that say it may have all. `maxconn:N` is for HAProxy alone. */
function judgeLine(line: string): CheckResult {
  let share = 1;
  let isKnown = false;
  const [said, reason] = line.trim().split('#', 2);
  for (const word of said!.trim().split(/[\s,]+/)) {
    const percent = /^(\d{1,3})%$/.exec(word)?.[1];
    if (percent !== undefined) share = Math.min(100, Number(percent)) / 100;
    else if (/^(?:down|fail|failed|stopped|maint)$/.test(word))
      return failed('agent', firstLine(reason === undefined ? `it says ${word}` : reason.trim()));
    else if (word === 'drain') share = 0;
    else if (!/^(?:up|ready|maxconn:\d+)$/.test(word)) continue;
    isKnown = true;
  }
  return isKnown
    ? { verdict: 'pass', share }
    : failed('check-failed', firstLine(`it says ${JSON.stringify(line.trim())}`));
}
