/**
 * Where a flow is dialled: the backend's own address, or, where the backend is on the port that the client came to
 * (`10.0.1.1:same`, `10.0.1.1:+1000`), that port of it.
 */
import type { Bind } from './plan.ts';

/**
 * @param localPort the port the client came to
 * @returns undefined: there is no such port
 */
export function targetAt(target: Bind, localPort: number): Bind | undefined {
  if (target.kind === 'unix' || target.portShift === undefined) return target;
  const port = localPort + target.portShift;
  return port >= 1 && port <= 65_535 ? { kind: 'inet', ip: target.ip, port } : undefined;
}

/** The addresses that `target` has for clients who come to `ports`: one, or one for each. */
export function targetsAt(target: Bind, ports: Iterable<number>): Bind[] {
  if (target.kind === 'unix' || target.portShift === undefined) return [target];
  return [...ports].flatMap((port) => targetAt(target, port) ?? []);
}

/** Why clients who come to `bind` have no port at a backend that is `shift` beside theirs: a sentence; undefined: they have one. */
export function withoutPort(bind: Bind, shift: number): string | undefined {
  if (bind.kind === 'unix') return 'clients of a unix socket come to no port';
  const { port } = bind;
  if (port === 0) return shift === 0 ? undefined : 'nobody knows yet which port its clients come to';
  const to = port + shift;
  return to >= 1 && to <= 65_535 ? undefined : `port ${port} and ${shift} make ${to}, which is no port`;
}
