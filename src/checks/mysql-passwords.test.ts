/** Passwords of MySQL against vectors of another client, and against the server's half of the exchange. */
import { constants, generateKeyPairSync, privateDecrypt } from 'node:crypto';
import { expect, test } from 'vitest';
import { cachingSha2, plainPassword, proofOf, sealedPassword } from './mysql-passwords.ts';

/** https://github.com/go-sql-driver/mysql/blob/master/auth_test.go */
const nonce = Buffer.from([10, 47, 74, 111, 75, 73, 34, 48, 88, 76, 114, 74, 37, 13, 3, 80, 82, 2, 23, 21]);

test('caching_sha2_password', () => {
  expect(proofOf(cachingSha2, 'secret', nonce).toString('hex')).toBe(
    'f490e76f66d9d86665ce54d98c78d0acfe2fb0b08b423da807144873d30b312c',
  );
  expect(proofOf(cachingSha2, 'secret2', nonce).toString('hex')).toBe(
    'abc3934a012cf342e876071c8ee202de51785b430258a7a0138bc79c4d800bc6',
  );
  expect(proofOf(cachingSha2, '', nonce)).toEqual(Buffer.alloc(1));
});

test('mysql_native_password', () => {
  const other = Buffer.from([
    70, 114, 92, 94, 1, 38, 11, 116, 63, 114, 23, 101, 126, 103, 26, 95, 81, 17, 24, 21,
  ]);
  expect([...proofOf('mysql_native_password', 'secret', other)]).toEqual([
    53, 177, 140, 159, 251, 189, 127, 53, 109, 252, 172, 50, 211, 192, 240, 164, 26, 48, 207, 45,
  ]);
  expect(proofOf('mysql_native_password', '', nonce)).toEqual(Buffer.alloc(0));
});

test('a nonce that is short proves nothing', () => {
  expect(() => proofOf(cachingSha2, 'secret', nonce.subarray(1))).toThrow(RangeError);
});

test('the password itself, and for the holder of a key alone', () => {
  const { publicKey, privateKey } = generateKeyPairSync('rsa', { modulusLength: 2048 });
  const pem = Buffer.from(publicKey.export({ type: 'spki', format: 'pem' }));
  const sealed = sealedPassword('sécret', nonce, pem);
  const opened = privateDecrypt({ key: privateKey, padding: constants.RSA_PKCS1_OAEP_PADDING }, sealed);
  expect(Buffer.from(opened.map((byte, i) => byte ^ nonce[i % nonce.length]!))).toEqual(
    plainPassword('sécret'),
  );
  for (const key of ['', 'what?', String(pem).slice(0, 100)])
    expect(() => sealedPassword('secret', nonce, Buffer.from(key))).toThrow(/no RSA key/);
  expect(() => sealedPassword('x'.repeat(300), nonce, pem)).toThrow(RangeError);
  expect(() => plainPassword('a\0')).toThrow(RangeError);
});
