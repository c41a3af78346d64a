/**
 * Certificates in a file of authorities (PEM, RFC 7468). Node.js leaves out what it cannot read, and takes a file without any for none:
 * then it trusts the authorities it has itself, or nobody. So they are looked at here.
 */
import { X509Certificate } from 'node:crypto';

const certificate =
  /-----BEGIN (?:X509 |TRUSTED )?CERTIFICATE-----[^-]*-----END (?:X509 |TRUSTED )?CERTIFICATE-----/g;

/** How many there are. @throws Error if there is none, or one is cut short or cannot be read */
export function certificatesIn(text: string): number {
  const found = text.match(certificate) ?? [];
  const begun = text.match(/-----BEGIN [A-Z0-9 ]*CERTIFICATE-----/g)?.length ?? 0;
  if (begun === 0) throw new Error('it has no certificate (PEM)');
  if (found.length < begun) throw new Error('one of its certificates is cut short');
  for (const [index, one] of found.entries()) {
    try {
      new X509Certificate(one);
    } catch (error) {
      throw new Error(`certificate ${index + 1} cannot be read: ${(error as Error).message}`);
    }
  }
  return found.length;
}
