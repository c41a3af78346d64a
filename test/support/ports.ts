/**
 * Free ports, and waiting until a process has bound one.
 *
 * Ports are taken from below the kernel's ephemeral range: a port the kernel may hand to any outgoing
 * connection is free when asked and taken when bound. Whether somebody listens is read from /proc, because a
 * probing connection would count as a client of the server under test.
 */
import { createSocket } from 'node:dgram';
import { readFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { patienceMs } from './eventually.ts';
import { describeExit, type RunningProcess } from './processes.ts';

export type Transport = 'tcp' | 'udp';

const lowestPort = 10_240;
const given = new Set<number>();

function lowestEphemeralPort(): number {
  try {
    return Number.parseInt(readFileSync('/proc/sys/net/ipv4/ip_local_port_range', 'utf8'), 10);
  } catch {
    return 32_768;
  }
}

/** Binds the wildcard address, so a server on any one IPv4 address, or on both families, makes it taken. */
function canBind(transport: Transport, port: number): Promise<boolean> {
  return new Promise((resolve) => {
    if (transport === 'tcp') {
      const server = createServer();
      server.once('error', () => resolve(false));
      server.listen({ port, host: '0.0.0.0' }, () => server.close(() => resolve(true)));
    } else {
      const socket = createSocket('udp4');
      socket.once('error', () => socket.close(() => resolve(false)));
      socket.bind({ port, address: '0.0.0.0', exclusive: true }, () => socket.close(() => resolve(true)));
    }
  });
}

/** Three test files may run at a time (test/vitest.config.ts): each in a process that has a number from 1 on. */
const processesAtATime = 3;
const ownPlace = Number(process.env.VITEST_POOL_ID ?? 0) % processesAtATime;

/**
 * A port nobody has bound, never the same twice from one process, nor from one that runs beside it. Between this answer
 * and the bind somebody else may still take it, and the server then says so.
 */
export async function freePort(transport: Transport = 'tcp'): Promise<number> {
  const span = lowestEphemeralPort() - lowestPort;
  if (span < 1_000) throw new Error('the ephemeral range of this machine leaves no ports below it');
  for (let attempt = 0; attempt < 200; attempt++) {
    const draw = Math.floor((Math.random() * span) / processesAtATime);
    const port = lowestPort + draw * processesAtATime + ownPlace;
    if (given.has(port)) continue;
    if (await canBind(transport, port)) {
      given.add(port);
      return port;
    }
  }
  throw new Error(`no free ${transport} port found between ${lowestPort} and ${lowestPort + span}`);
}

/** As {@link freePort}, and the port `offset` above it is free as well. */
export async function freePortWith(offset: number): Promise<number> {
  for (let attempt = 0; attempt < 200; attempt++) {
    const port = await freePort();
    const other = port + offset;
    if (other >= lowestEphemeralPort() || given.has(other) || !(await canBind('tcp', other))) continue;
    given.add(other);
    return port;
  }
  throw new Error(`no two free ports found that are ${offset} apart`);
}

/** Whether a socket of the process's network namespace listens on (tcp) or is bound to (udp) the port. */
export function isBound(transport: Transport, port: number, pid: number | 'self' = 'self'): boolean {
  const wanted = `:${port.toString(16).toUpperCase().padStart(4, '0')}`;
  // States of include/net/tcp_states.h: 0A is LISTEN, 07 an unconnected UDP socket.
  const state = transport === 'tcp' ? '0A' : '07';
  for (const table of [transport, `${transport}6`]) {
    let rows: string;
    try {
      rows = readFileSync(`/proc/${pid}/net/${table}`, 'utf8');
    } catch {
      continue; // No IPv6 in this kernel, or the process has ended.
    }
    for (const row of rows.split('\n')) {
      const fields = row.trim().split(/\s+/);
      if (fields[1]?.endsWith(wanted) && fields[3] === state) return true;
    }
  }
  return false;
}

/**
 * Resolves once the port is bound. Rejects with the process's output when it ends first or takes longer than
 * `timeoutMs`; then it is stopped.
 */
export async function waitUntilBound(
  transport: Transport,
  port: number,
  process: RunningProcess,
  timeoutMs = patienceMs,
): Promise<void> {
  for (const deadline = Date.now() + timeoutMs; Date.now() < deadline; await sleep(20)) {
    if (process.status !== undefined) {
      throw new Error(`${process.name} ended (${describeExit(process.status)}):\n${process.output()}`);
    }
    if (isBound(transport, port, process.pid)) return;
  }
  throw new Error(
    `${process.name} did not bind ${transport} ${port} in ${timeoutMs} ms:\n${process.output()}`,
  );
}
