/**
 * What one TCP client says, in as many protocols as matter to its listener at once. The first bytes rule most of them out: TLS
 * begins with 16 03, PostgreSQL with 00 00, Minecraft with its length and 00.
 *
 * PostgreSQL's client asks whether it may speak TLS, and waits. Its server's name is in the hello that comes after the answer, so the
 * caller answers in the backend's place ({@link answered}) and asks the backend later.
 */
import { routeBytesMax } from '../../core/limits.ts';
import type { RouteProtocol } from '../../core/plan.ts';
import type { Said, Spoken } from '../../core/routes.ts';
import { ClientHelloReader } from '../../wire/client-hello.ts';
import { readMinecraftHandshake } from '../../wire/minecraft-handshake.ts';
import { encodeSslRequest } from '../../wire/postgres.ts';
import { readPostgresStartup } from '../../wire/postgres-startup.ts';

/** What the client waits for an answer to. */
export type Question = 'ssl' | 'gss';

const postgresAlpn = 'postgresql';
const requests: Readonly<Record<Question, Uint8Array>> = {
  ssl: encodeSslRequest(),
  gss: Uint8Array.of(0, 0, 0, 8, 0x04, 0xd2, 0x16, 0x30),
};

export class Speech {
  /** It has been told that it may speak TLS. */
  hasAskedForTls = false;
  private answeredBytes = new Uint8Array(0);
  private readonly protocols: readonly RouteProtocol[];
  private hello = new ClientHelloReader();
  private readonly spoken: Spoken[] = [];
  private readonly possible: RouteProtocol[] = [];
  private question: Question | undefined = undefined;

  /** @param protocols those that matter */
  constructor(protocols: readonly RouteProtocol[]) {
    this.protocols = protocols;
  }

  /**
   * @param bytes all that has come, but for what {@link answered} took away
   * @param isAll nobody waits for more
   */
  hear(bytes: Uint8Array, isAll: boolean): Said & { readonly question: Question | undefined } {
    this.spoken.length = 0;
    this.possible.length = 0;
    this.question = undefined;
    this.hearHello(bytes);
    if (this.wants('postgres') && !this.hasAskedForTls) this.hearPostgres(bytes, isAll);
    if (this.wants('minecraft') && !this.hasAskedForTls) this.hearMinecraft(bytes, isAll);
    return {
      spoken: [...this.spoken],
      possible: isAll ? [] : [...this.possible],
      asksFirst: this.question !== undefined,
      question: this.question,
      bytes: this.withAnswered(bytes),
      isAll,
    };
  }

  /** The question was answered, and its bytes are gone: for routes they stay the first ones. */
  answered(question: Question): void {
    this.answeredBytes = Uint8Array.of(...this.answeredBytes, ...requests[question]);
    this.hasAskedForTls = question === 'ssl';
    this.hello = new ClientHelloReader();
  }

  private withAnswered(bytes: Uint8Array): Uint8Array {
    if (this.answeredBytes.length === 0) return bytes;
    return Uint8Array.of(...this.answeredBytes, ...bytes.subarray(0, routeBytesMax)).subarray(
      0,
      routeBytesMax,
    );
  }

  private wants(protocol: RouteProtocol): boolean {
    return this.protocols.includes(protocol);
  }

  private hearHello(bytes: Uint8Array): void {
    // After a question for TLS it is PostgreSQL's, and nothing else can be.
    const wantsTls = this.wants('tls') && !this.hasAskedForTls;
    const wantsPostgres = this.wants('postgres');
    if (!wantsTls && !wantsPostgres) return;
    const hello = this.hello.read(bytes);
    if (hello === 'more') {
      if (wantsTls) this.possible.push('tls');
      if (wantsPostgres) this.possible.push('postgres');
    } else if (hello !== undefined) {
      const { serverName: name, alpn } = hello;
      if (wantsTls) this.spoken.push({ protocol: 'tls', name, alpn });
      if (wantsPostgres && (this.hasAskedForTls || alpn.includes(postgresAlpn)))
        this.spoken.push({ protocol: 'postgres', name, alpn });
    }
  }

  private hearPostgres(bytes: Uint8Array, isAll: boolean): void {
    const startup = readPostgresStartup(bytes);
    if (startup === undefined) return;
    if (startup !== 'more' && startup.kind !== 'ssl-request' && startup.kind !== 'gss-request') {
      this.spoken.push({ protocol: 'postgres', name: undefined, alpn: [] });
      return;
    }
    if (startup !== 'more') {
      this.question = startup.kind === 'ssl-request' ? 'ssl' : 'gss';
      // It got no answer, and names nobody.
      if (isAll) this.spoken.push({ protocol: 'postgres', name: undefined, alpn: [] });
    }
    if (!this.possible.includes('postgres')) this.possible.push('postgres');
  }

  private hearMinecraft(bytes: Uint8Array, isAll: boolean): void {
    const handshake = readMinecraftHandshake(bytes, isAll);
    if (handshake === 'more') this.possible.push('minecraft');
    else if (handshake !== undefined)
      this.spoken.push({ protocol: 'minecraft', name: handshake.host, alpn: [] });
  }
}
