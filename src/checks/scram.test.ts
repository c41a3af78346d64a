/** SCRAM-SHA-256: the example of RFC 7677, and servers that say something else. */
import { describe, expect, test } from 'vitest';
import { clientFinal, clientFirst, decodeServerFirst, isSignedBy, prepare } from './scram.ts';

// RFC 7677, 3.
const nonce = 'rOprNGfwEbeRWgbNEkqO';
const name = 'user';
const password = 'pencil';
const serverFirst = 'r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096';
const serverFinal = 'v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=';
const { signal } = new AbortController();

test('the example of RFC 7677', async () => {
  expect(clientFirst(nonce, name)).toBe('n,,n=user,r=rOprNGfwEbeRWgbNEkqO');
  const proof = await clientFinal({ nonce, name, password }, serverFirst, signal);
  expect(proof.message).toBe(
    'c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=',
  );
  expect(isSignedBy(serverFinal, proof)).toBe(true);
  // The password is kept by its salt; another one is another one.
  expect(await clientFinal({ nonce, name, password }, serverFirst, signal)).toEqual(proof);
  expect(await clientFinal({ nonce, name, password: 'pen' }, serverFirst, signal)).not.toEqual(proof);
});

test('only the right signature is one', async () => {
  const proof = await clientFinal({ nonce, name, password }, serverFirst, signal);
  for (let i = 0; i < serverFinal.length - 2; i++) {
    const other = `${serverFinal.slice(0, i)}${serverFinal[i] === 'A' ? 'Q' : 'A'}${serverFinal.slice(i + 1)}`;
    expect(isSignedBy(other, proof), other).toBe(false);
    expect(isSignedBy(serverFinal.slice(0, i), proof)).toBe(false);
  }
  for (const other of ['', 'v=', 'e=other-error', `${serverFinal}A`])
    expect(isSignedBy(other, proof)).toBe(false);
});

test('names are escaped', () => {
  expect(clientFirst('x', 'a=b,c')).toBe('n,,n=a=3Db=2Cc,r=x');
});

describe('what a server may ask for', () => {
  const ask = (iterations: string, salt = 'AAAA', theirs = 'oursTHEIRS') =>
    decodeServerFirst(`r=${theirs},s=${salt},i=${iterations}`, 'ours');

  test('so much computing, and no more', () => {
    expect(ask('100000')).toEqual({ nonce: 'oursTHEIRS', salt: Buffer.alloc(3), iterations: 100_000 });
    for (const count of ['100001', '2147483648', '9999999999'])
      expect(() => ask(count), count).toThrow(/iterations of SCRAM, and a check computes 100000 at most/);
  });

  test('everything else is a RangeError', () => {
    for (const count of ['0', '-1', '1e5', '', '4096x', '99999999999'])
      expect(() => ask(count)).toThrow(RangeError);
    for (const salt of ['', '=', 'A', 'AB==', 'AAAA\n', 'A'.repeat(2_049)])
      expect(() => ask('4096', salt), salt).toThrow(RangeError);
    for (const theirs of ['ours', 'our', 'theirs', '', 'oursé', `ours${'x'.repeat(1_024)}`])
      expect(() => ask('4096', 'AAAA', theirs), theirs).toThrow(RangeError);
    expect(() => decodeServerFirst(`m=new,${serverFirst}`, nonce)).toThrow(RangeError);
    expect(() => decodeServerFirst('e=other-error', nonce)).toThrow(RangeError);
  });

  test('every prefix, and every byte changed, is a message or a RangeError', () => {
    for (let i = 0; i < serverFirst.length; i++) {
      for (const text of [
        serverFirst.slice(0, i),
        `${serverFirst.slice(0, i)}\0${serverFirst.slice(i + 1)}`,
      ]) {
        try {
          decodeServerFirst(text, nonce);
        } catch (error) {
          expect(error).toBeInstanceOf(RangeError);
        }
      }
    }
  });
});

test('who does not want to know any more does not let compute', async () => {
  const salt = Buffer.from(String(Math.random())).toString('base64');
  const from = performance.now();
  const many = Array.from({ length: 1_000 }, (_, i) =>
    clientFinal({ nonce, password: String(i) }, `r=${nonce}x,s=${salt},i=100000`, AbortSignal.abort()),
  );
  expect((await Promise.allSettled(many)).every(({ status }) => status === 'rejected')).toBe(true);
  expect(performance.now() - from).toBeLessThan(1_000);
});

/** RFC 4013, 3, and what PostgreSQL makes of a password that is none by it. */
test.each([
  ['I\u00adX', 'IX'],
  ['user', 'user'],
  ['USER', 'USER'],
  ['\u00aaé', 'aé'],
  ['\u2168é', 'IXé'],
  ['a\u00a0é', 'a é'],
  ['\u0007é\u2168', '\u0007é\u2168'],
  ['\u0627\u0031\u2168', '\u0627\u0031\u2168'],
  ['\u05d0\u2168\u05d1', '\u05d0\u2168\u05d1'],
  ['\u05d0\u00a0\u05d1', '\u05d0 \u05d1'],
  ['\u00ad', '\u00ad'],
])('SASLprep: %j', (password, prepared) => {
  expect(prepare(password)).toBe(prepared);
});
