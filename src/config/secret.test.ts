/**
 * The address of Redis, password and all, in every place where a person may put it by mistake: nothing that is said of
 * such a file holds the password. golden/secrets.golden shows the sentences.
 */
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { describe, expect, test } from 'vitest';
import { parse, stringify } from 'yaml';
import { type LoadResult, parsePlan, problemLines, warningLines } from './load.ts';
import { printPlan } from './print.ts';
import { maskMessage, maskSecret } from './secret.ts';

const secret = 's3cret';
const addresses = [
  `redis://user:${secret}@host`,
  `redis://:${secret}@10.0.0.5:6379/0`,
  `rediss+sentinel://user:${secret}@a,b/main`,
  `redsi://user:${secret}@host`,
  `redis:/user:${secret}@host`,
  `redis//user:${secret}@host:6379`,
  `user:${secret}@host`,
  `redis://:${secret}`,
  `redis://${'long-'.repeat(20)}${secret}@host`,
  `unix:redis://user:${secret}@host`,
  `tcp://user:${secret}@host:80`,
];
const file = readFileSync(fileURLToPath(new URL('../../config/pinion.yaml', import.meta.url)), 'utf8');

/** All that anybody is told of it. */
function toldOf(result: LoadResult): string {
  const lines = 'problems' in result ? problemLines(result) : [printPlan(result.plan)];
  return [...lines, ...warningLines(result)].join('\n');
}

/** Every key and value of `value`, replaced by `text` one at a time. */
function* replaced(value: unknown, text: string): Generator<unknown> {
  if (typeof value !== 'object' || value === null) return;
  for (const [key, part] of Object.entries(value)) {
    const others = Object.entries(value).filter(([name]) => name !== key);
    const joined = (entries: [string, unknown][]): unknown =>
      Array.isArray(value) ? entries.map(([, item]) => item) : Object.fromEntries(entries);
    yield joined([...others, [key, text]]);
    yield joined([...others, [key, [text]]]);
    yield joined([...others, [key, { [text]: part }]]);
    yield { ...(joined(others) as object), [text]: part };
    for (const inner of replaced(part, text)) yield joined([...others, [key, inner]]);
  }
}

describe('no secret is told', () => {
  const whole = {
    ...(parse(file) as object),
    cluster: { name: 'c', redis: { url: 'redis://h', username: 'u' } },
  };

  test.each(addresses)('of %s in any place', (address) => {
    let count = 0;
    const first = addresses.indexOf(address);
    for (const wrong of replaced(whole, address)) {
      // Each place with one or two of the addresses.
      if (count++ % 9 !== first % 9) continue;
      expect(toldOf(parsePlan(stringify(wrong, { lineWidth: 0 }), 'f'))).not.toContain(secret);
    }
    expect(count).toBeGreaterThan(200);
  });

  test('of one that fell into the text anywhere', () => {
    for (let at = 0; at <= file.length; at += 23) {
      const text = `${file.slice(0, at)}${addresses[at % addresses.length]}${file.slice(at)}`;
      expect(toldOf(parsePlan(text, 'f'))).not.toContain(secret);
    }
  });

  test('of a pool by which another is explained', () => {
    const pools = { [addresses[0]!]: { backends: [{ name: 'a', address: '10.0.0.1:80' }] } };
    const listeners = [{ name: 'a', bind: 'tcp://0.0.0.0:80', pool: 'redis' }];
    expect(toldOf(parsePlan(stringify({ listeners, pools }), 'f'))).not.toContain(secret);
  });

  test.each([
    `*redis://user:${secret}@host`,
    `!redis://user:${secret}@host x`,
    `&redis://user:${secret}@host &b x`,
  ])('of %s', (text) => expect(toldOf(parsePlan(`engine: ${text}\n`, 'f'))).not.toContain(secret));
});

test.each([
  ['tcp://0.0.0.0:http', 'tcp://0.0.0.0:http'],
  ['redis://10.0.0.5:6379', 'redis://10.0.0.5:6379'],
  ['redis+cluster://a:1,[::1]:2/0', 'redis+cluster://a:1,[::1]:2/0'],
  ['unix:/run/user@1000/x.sock', 'unix:/run/user@1000/x.sock'],
  ['redis://u:p@h', 'redis://***'],
  ['p@h', '***'],
])('%s is shown as %s', (text, shown) => expect(maskSecret(text)).toBe(shown));

test.each([
  ['"unix:/run/user@1000/x.sock" is taken: listeners[0].bind (line 2)', undefined],
  ['a text that starts with @ needs quotes', undefined],
  ['write redis://user:p@h, not user:p@h', 'write *** not ***'],
])('a message: %s', (message, shown = message) => expect(maskMessage(message)).toBe(shown));
