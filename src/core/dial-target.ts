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
