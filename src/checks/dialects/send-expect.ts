/** A conversation that the user writes down: texts or bytes to send, and what must come back. */
import { createContext, Script } from 'node:vm';
import { choice, own, type Reading, required } from '../../core/options.ts';
import { overUdp } from '../datagrams.ts';
import { type Asked, type CheckResult, dialect, failed, passed } from '../dialect.ts';
import { firstLine } from '../faults.ts';
import { overTcp } from '../stream.ts';

/** One of: send it, or wait for it. Bytes are in latin-1. */
type Step =
  | { readonly kind: 'send'; readonly bytes: string }
  | { readonly kind: 'expect'; readonly bytes: string }
  | { readonly kind: 'match'; readonly pattern: string };

const stepsMax = 32;
const charactersMax = 4_096;

const stepRule =
  'must be a list of steps: { send: TEXT }, { send_hex: HEX }, { expect: TEXT }, { expect_hex: HEX } or { match: PATTERN }';

function readSteps(value: unknown): Reading<readonly Step[]> {
  if (!Array.isArray(value) || value.length === 0) return { refused: stepRule };
  if (value.length > stepsMax) return { refused: `must be a list of at most ${stepsMax} steps` };
  const steps: Step[] = [];
  for (const [i, item] of value.entries()) {
    const entries = typeof item === 'object' && item !== null ? Object.entries(item) : [];
    const [entry] = entries;
    if (entries.length !== 1 || entry === undefined) return { refused: stepRule };
    const reading = readStep(entry[0], entry[1]);
    if ('refused' in reading) return { refused: `has a step ${i + 1} that ${reading.refused}` };
    steps.push(reading.value);
  }
  return steps.some(({ kind }) => kind !== 'send')
    ? { value: steps }
    : { refused: 'must expect something: a check that only sends always passes' };
}

function readStep(key: string, value: unknown): Reading<Step> {
  if (typeof value !== 'string' || value === '')
    return { refused: 'must be a text, in quotes if it looks like a number' };
  if (value.length > charactersMax) return { refused: `must have at most ${charactersMax} characters` };
  switch (key) {
    case 'send':
    case 'expect':
      return { value: { kind: key, bytes: Buffer.from(value, 'utf8').toString('latin1') } };
    case 'send_hex':
    case 'expect_hex': {
      const hex = value.replace(/\s/g, '');
      if (!/^(?:[0-9a-f]{2})+$/i.test(hex)) return { refused: 'must be pairs of hexadecimal digits' };
      return {
        value: {
          kind: key === 'send_hex' ? 'send' : 'expect',
          bytes: Buffer.from(hex, 'hex').toString('latin1'),
        },
      };
    }
    case 'match':
      return readPattern(value);
    default:
      return { refused: `must be send, send_hex, expect, expect_hex or match, not ${key}` };
  }
}

function readPattern(pattern: string): Reading<Step> {
  try {
    new RegExp(pattern);
  } catch (error) {
    return { refused: `must be a regular expression: ${(error as Error).message}` };
  }
  return { value: { kind: 'match', pattern } };
}

/** A pattern that takes for ever on what a stranger sends takes no longer than this. Milliseconds. */
const matchMs = 250;
/** And it looks at so much. Characters. */
const matchedMax = 4_096;
const matching = createContext({ pattern: '', text: '' });
const match = new Script('new RegExp(pattern).exec(text)');

/** @throws when the pattern takes too long */
function endOfMatch(pattern: string, text: string): number | undefined {
  Object.assign(matching, { pattern, text: text.slice(0, matchedMax) });
  let found: RegExpExecArray | null;
  try {
    found = match.runInContext(matching, { timeout: matchMs }) as RegExpExecArray | null;
  } catch {
    throw new Error(`the pattern ${pattern} takes longer than ${matchMs} ms on what it says`);
  }
  return found === null ? undefined : found.index + found[0].length;
}

const options = {
  over: choice('What it is said over.', ['tcp', 'udp'], 'tcp'),
  steps: required(
    own<readonly Step[]>(
      'What is said and expected, in order. send, expect: a text ("\\r\\n" in double quotes ends a line); send_hex, expect_hex: bytes; match: a regular expression. Over TCP an expectation looks through what has come since the last one; over UDP each answers one datagram.',
      readSteps,
      { type: 'array', maxItems: stepsMax },
      [],
    ),
  ),
} as const;

export const sendExpect = dialect({
  meaning: 'a server answers what you say',
  options,
  reach: ({ over }) => over,
  ask: (asked) => (asked.options.over === 'udp' ? askOverUdp(asked) : askOverTcp(asked)),
});

function askOverTcp(asked: Asked<typeof options>): Promise<CheckResult> {
  return overTcp(asked, async (stream) => {
    let seen = '';
    try {
      for (const step of asked.options.steps) {
        if (step.kind === 'send') stream.write(Buffer.from(step.bytes, 'latin1'));
        else {
          await stream.read((all) => {
            seen = all.toString('latin1');
            return endOf(step, seen);
          });
        }
      }
      return passed;
    } catch (error) {
      if (seen === '') throw error;
      const then = (error as Error).message;
      return failed(
        'check-failed',
        firstLine(`it says ${JSON.stringify(seen.slice(0, 80))}, and then ${then}`),
      );
    }
  });
}

function askOverUdp(asked: Asked<typeof options>): Promise<CheckResult> {
  return overUdp(asked, async (datagrams) => {
    for (const step of asked.options.steps) {
      if (step.kind === 'send') {
        datagrams.send(Buffer.from(step.bytes, 'latin1'));
        continue;
      }
      const text = (await datagrams.next()).toString('latin1');
      if (endOf(step, text) === undefined)
        return failed('check-failed', firstLine(`it says ${JSON.stringify(text.slice(0, 80))}`));
    }
    return passed;
  });
}

/** How many of the characters are done with; undefined: what is expected is not among them (yet). */
function endOf(step: Exclude<Step, { kind: 'send' }>, text: string): number | undefined {
  if (step.kind === 'expect') {
    const at = text.indexOf(step.bytes);
    return at < 0 ? undefined : at + step.bytes.length;
  }
  return endOfMatch(step.pattern, text);
}
