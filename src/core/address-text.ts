/** Where something is, as people write it and as the configuration reads it. */
import type { BackendAddress } from './plan.ts';

/** `10.0.0.1:5432`, `[::1]:80`, `unix:/path`, `host:80`, `10.0.0.1:same`, `10.0.0.1:+1000`. */
export function formatAddress(address: BackendAddress): string {
  if (address.kind === 'unix') return `unix:${address.path}`;
  const { portShift } = address;
  const port = portShift === undefined ? address.port : shiftText(portShift);
  if (address.kind === 'name') return `${address.host}:${port}`;
  return address.ip.includes(':') ? `[${address.ip}]:${port}` : `${address.ip}:${port}`;
}

function shiftText(shift: number): string {
  if (shift === 0) return 'same';
  return shift > 0 ? `+${shift}` : `${shift}`;
}
