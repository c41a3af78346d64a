/**
 * An identifier for the stories. A client tells who it is in a line of text, and all behind the line is for the backend:
 *
 *    IAM 192.0.2.7:4711\n    that is the client
 *    ASK\n                   answered with "WHO?\n", and on
 *    GO AWAY\n               refused with `limit-client`
 *    BREAK\n                 a defect
 */
import assert from 'node:assert/strict';
import { Address } from '../../core/address.ts';
import type { Hearing, Identifier, IdentifierAnswer } from '../arrival.ts';
import type { Behaviour } from './messages.ts';

export class LineIdentifier implements Identifier {
  readonly bytesMax: number;
  readonly timeoutMs: number;
  readonly #opensWhen: readonly Hearing[];
  readonly #peer: Address;
  readonly #local: Address;

  constructor(script: NonNullable<Behaviour['identify']>, peer: Address, local: Address) {
    this.bytesMax = script.bytesMax ?? 1024;
    this.timeoutMs = script.timeoutMs ?? 20_000;
    this.#opensWhen = script.opensWhen ?? [];
    this.#peer = peer;
    this.#local = local;
  }

  read(bytes: Uint8Array, hearing: Hearing): IdentifierAnswer {
    assert.ok(bytes.length <= this.bytesMax, 'more was read than the identifier takes');
    const end = bytes.indexOf(10);
    if (end < 0) return this.#opensWhen.includes(hearing) ? this.#identified(this.#peer, 0) : 'more';
    const line = Buffer.from(bytes.subarray(0, end)).toString('latin1');
    if (line === 'ASK') return { answer: Buffer.from('WHO?\n'), consumed: end + 1 };
    if (line === 'GO AWAY') return 'limit-client';
    if (line === 'BREAK') throw new Error('scripted defect in an identifier');
    const client = Address.parseWithPort(line.slice('IAM '.length));
    assert.ok(client !== undefined, `no line of a story: ${line}`);
    return this.#identified(client, end + 1);
  }

  #identified(client: Address, consumed: number): IdentifierAnswer {
    const identity = { peer: this.#peer, peerLocal: this.#local };
    return { identity, client, local: this.#local, consumed };
  }
}
