import { execFileSync } from 'node:child_process';
import { expect, test } from 'vitest';
import { certificatesIn } from './certificates.ts';

function make(name: string): string {
  const args = 'req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 -keyout /dev/null';
  return execFileSync('openssl', [...args.split(' '), '-subj', `/CN=${name}`], {
    encoding: 'latin1',
    stdio: ['ignore', 'pipe', 'ignore'],
  });
}

const [one, two] = [make('one'), make('two')];
const both = `# the first - of two\n${one}\n# the second\n${two}`;

test('a file of authorities is used whole or not at all', () => {
  expect([certificatesIn(one), certificatesIn(both)]).toEqual([1, 2]);
  for (const wrong of ['', '\n', 'garbage', '-----BEGIN PRIVATE KEY-----\nx\n-----END PRIVATE KEY-----\n'])
    expect(() => certificatesIn(wrong)).toThrow('it has no certificate (PEM)');
  expect(() => certificatesIn(`${one}${two.slice(0, 40)}${two.slice(44)}`)).toThrow(
    /^certificate 2 cannot be read/,
  );
});

test('cut at any place it is refused, or has as many as begin', () => {
  const countOf = (text: string, mark: string): number =>
    text.split(`-----${mark} CERTIFICATE-----`).length - 1;
  for (let length = 0; length < both.length; length++) {
    const text = both.slice(0, length);
    const [begun, ended] = [countOf(text, 'BEGIN'), countOf(text, 'END')];
    if (begun > 0 && begun === ended) expect(certificatesIn(text)).toBe(begun);
    else expect(() => certificatesIn(text), String(length)).toThrow(/^(it has no|one of its) certificate/);
  }
});
