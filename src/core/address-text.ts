/** Where something is, as people write it and as the configuration reads it. */
import type { BackendAddress } from './plan.ts';

/** `10.0.0.1:5432`, `[::1]:80`, `unix:/path`, `host:80`. */
export function formatAddress(address: BackendAddress): string {
  if (address.kind === 'unix') return `unix:${address.path}`;
  if (address.kind === 'name') return `${address.host}:${address.port}`;
  return address.ip.includes(':') ? `[${address.ip}]:${address.port}` : `${address.ip}:${address.port}`;
}
