/**
 * How MySQL and MariaDB are told a password: proved by a hash of it and of the server's nonce, or told to the server alone.
 * https://dev.mysql.com/doc/dev/mysql-server/latest/page_protocol_connection_phase_authentication_methods_native_password_authentication.html
 * https://dev.mysql.com/doc/dev/mysql-server/latest/page_caching_sha2_authentication_exchanges.html
 */
import { constants, createHash, publicEncrypt } from 'node:crypto';
import { nativePassword, nonceBytes } from '../wire/mysql.ts';

export const cachingSha2 = 'caching_sha2_password';

export type Plugin = typeof nativePassword | typeof cachingSha2;

/** Whether a check speaks this one. */
export function isPlugin(name: string): name is Plugin {
  return name === nativePassword || name === cachingSha2;
}

function hash(algorithm: 'sha1' | 'sha256', ...parts: readonly Uint8Array[]): Buffer {
  const digest = createHash(algorithm);
  for (const part of parts) digest.update(part);
  return digest.digest();
}

function xor(bytes: Buffer, key: Buffer): Buffer {
  return Buffer.from(bytes.map((byte, i) => byte ^ key[i % key.length]!));
}

function checkNonce(nonce: Buffer): void {
  if (nonce.length !== nonceBytes) throw new RangeError('it sends a nonce that is none');
}

/** What proves the password; of an empty one, what says that there is none. @throws RangeError: the nonce is short */
export function proofOf(plugin: Plugin, password: string, nonce: Buffer): Buffer {
  checkNonce(nonce);
  const secret = Buffer.from(password, 'utf8');
  if (plugin === nativePassword) {
    if (secret.length === 0) return secret;
    const once = hash('sha1', secret);
    return xor(once, hash('sha1', nonce, hash('sha1', once)));
  }
  if (secret.length === 0) return Buffer.alloc(1);
  const once = hash('sha256', secret);
  return xor(once, hash('sha256', hash('sha256', once), nonce));
}

/** The password itself, for a way on which nobody else reads. @throws RangeError: it has a NUL */
export function plainPassword(password: string): Buffer {
  if (password.includes('\0')) throw new RangeError('a password with a NUL cannot be sent');
  return Buffer.from(`${password}\0`, 'utf8');
}

/** The password for the holder of an RSA key alone. @throws RangeError: it is no key, or one too short for the password */
export function sealedPassword(password: string, nonce: Buffer, publicKey: Buffer): Buffer {
  checkNonce(nonce);
  const plain = xor(plainPassword(password), nonce);
  try {
    return publicEncrypt(
      { key: publicKey, padding: constants.RSA_PKCS1_OAEP_PADDING, oaepHash: 'sha1' },
      plain,
    );
  } catch {
    throw new RangeError('it sends no RSA key that the password can be sent with');
  }
}
