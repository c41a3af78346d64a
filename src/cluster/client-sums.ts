/**
 * Limits that are summed over the pair (`limits.scope: cluster`). With each beat this instance tells which clients and networks have
 * how many flows open here, and writes what the others told into the table that its workers ask (core/client-table.ts). So
 * Redis is never on the way of a flow, and what came to the others since their last beat is not known here.
 *
 * A row is told among the counts of backends, as `[listener, 1 or 2, address, flows]`: instances of versions that do not
 * know it pass over it. It is the others' text: bounded, and believed for nothing but limits.
 */
import { Address } from '../core/address.ts';
import {
  type ClientKind,
  type ClientTable,
  type ListedLimit,
  type OpenClient,
  scopeOf,
} from '../core/client-table.ts';
import {
  memberCountsBytesMax,
  summedClientsBytesMax,
  summedClientsHeardMax,
  summedClientsToldMax,
  summedExactFlowsMax,
} from '../core/limits.ts';
import { rowsOfCounts } from './counts-text.ts';

/** A listener whose limits are summed. 0: no limit. */
export interface SummedListener {
  readonly id: number;
  readonly name: string;
  readonly flowsPerClient: number;
  readonly flowsPerSubnet: number;
}

export type ClientCount = readonly [listener: string, kind: 1 | 2, address: string, flows: number];

const kinds = { 1: 'client', 2: 'subnet' } as const;

/** No address is longer: eight groups of four, or an IPv4 address at the end. */
const addressLengthMax = 45;

export class ClientSums {
  private readonly table: ClientTable;
  private readonly listeners: () => readonly SummedListener[];
  private readonly nowMs: () => number;

  /** @param nowMs on the clock that the workers ask the table with */
  constructor(table: ClientTable, listeners: () => readonly SummedListener[], nowMs: () => number) {
    this.table = table;
    this.listeners = listeners;
    this.nowMs = nowMs;
  }

  /**
   * What to tell: those with the most of their limit first.
   * @param members instances of the cluster: what all of them tell has to fit into one answer
   * @param takenBytes of the text that it becomes a part of
   */
  own(members: number, takenBytes: number): ClientCount[] {
    const limits = this.limits();
    if (limits.size === 0) return [];
    const names = new Map(this.listeners().map(({ id, name }) => [id, name]));
    const rows: ClientCount[] = [];
    let room = Math.min(summedClientsBytesMax / Math.max(4, members), memberCountsBytesMax - takenBytes);
    for (const { listenerId, kind, address, flows } of this.table.list(limits, summedClientsToldMax)) {
      const name = names.get(listenerId);
      if (name === undefined) continue;
      const row = [name, kind === 'client' ? 1 : 2, address.ip, flows] as const;
      room -= Buffer.byteLength(JSON.stringify(row)) + 1;
      if (room < 0) break;
      rows.push(row);
    }
    return rows;
  }

  /**
   * What a beat brought.
   * @param counts the texts of all others that are there
   * @param members instances that are there, this one too
   * @param validMs how long it may be believed
   */
  heard(counts: readonly string[], members: number, validMs: number): void {
    if (this.listeners().length === 0) return;
    const era = this.table.beginPair();
    const nowMs = this.nowMs();
    for (const client of this.sums(counts).values()) this.table.setElsewhere(client, era, nowMs);
    this.table.endPair(era, members, nowMs + validMs);
  }

  private sums(counts: readonly string[]): Map<string, OpenClient> {
    const ids = new Map(this.listeners().map(({ id, name }) => [name, id]));
    const sums = new Map<string, OpenClient>();
    for (const text of counts) {
      for (const [listener, kind, address, flows] of parseClientCounts(text)) {
        const listenerId = ids.get(listener);
        if (listenerId === undefined) continue;
        const parsed = Address.parse(address, 0);
        if (parsed === undefined) continue;
        // One address has several spellings.
        const name = `${listenerId} ${kind} ${parsed.ip}`;
        const before = sums.get(name);
        if (before === undefined && sums.size >= summedClientsHeardMax) continue;
        const sum = flows + (before?.flows ?? 0);
        sums.set(name, { listenerId, kind: kinds[kind], address: parsed, flows: sum });
      }
    }
    return sums;
  }

  private limits(): Map<number, ListedLimit> {
    const limits = new Map<number, ListedLimit>();
    const add = (id: number, kind: ClientKind, flows: number): void => {
      if (flows > 0) limits.set(scopeOf(id, kind), { flows, least: Math.ceil(flows / summedExactFlowsMax) });
    };
    for (const { id, flowsPerClient, flowsPerSubnet } of this.listeners()) {
      add(id, 'client', flowsPerClient);
      add(id, 'subnet', flowsPerSubnet);
    }
    return limits;
  }
}

/** Rows of clients in what an instance tells; all else in it is left out. At most as many as an instance tells. */
export function parseClientCounts(text: string): ClientCount[] {
  const rows: ClientCount[] = [];
  for (const row of rowsOfCounts(text)) {
    if (rows.length >= summedClientsToldMax) break;
    if (isClientCount(row)) rows.push(row);
  }
  return rows;
}

function isClientCount(row: unknown): row is ClientCount {
  if (!Array.isArray(row) || row.length !== 4) return false;
  const [listener, kind, address, flows] = row as readonly unknown[];
  return (
    typeof listener === 'string' &&
    (kind === 1 || kind === 2) &&
    typeof address === 'string' &&
    address.length <= addressLengthMax &&
    Number.isSafeInteger(flows) &&
    (flows as number) > 0
  );
}
