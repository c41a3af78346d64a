/** The ciphers of QUIC's first packets, by Node's OpenSSL. Opening one of them takes some 30 µs, most of it for the keys. */
import { createCipheriv, createDecipheriv, createHmac } from 'node:crypto';
import type { QuicCiphers } from '../../wire/quic.ts';

const tagBytes = 16;

export const quicCiphers: QuicCiphers = {
  hmacSha256: (key, data) => createHmac('sha256', key).update(data).digest(),
  aes128Ecb: (key, block) => createCipheriv('aes-128-ecb', key, null).update(block),
  openAes128Gcm: (key, nonce, associated, sealed) => {
    const decipher = createDecipheriv('aes-128-gcm', key, nonce, { authTagLength: tagBytes });
    decipher.setAAD(associated);
    decipher.setAuthTag(sealed.subarray(-tagBytes));
    const plain = decipher.update(sealed.subarray(0, -tagBytes));
    try {
      // A stream cipher: nothing is left to come, but the tag is compared.
      decipher.final();
    } catch {
      return undefined;
    }
    return plain;
  },
};
