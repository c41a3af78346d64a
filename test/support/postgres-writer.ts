/**
 * A writer as an application has one: a psql session through a load balancer that writes a row, waits for its answer and writes the
 * next. When the session is lost it makes another one, and tries the same row again until it is told that it is there.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { createInterface } from 'node:readline';
import { setTimeout as sleep } from 'node:timers/promises';
import { requireCommand } from './packages.ts';

/** A row that was acknowledged. */
export interface Written {
  readonly row: number;
  /** The port of the server that wrote it. */
  readonly by: number;
  /** When its answer came: performance.now(). */
  readonly atMs: number;
}

const pauseMs = 20;
const pauseAfterLossMs = 100;

export class PostgresWriter {
  readonly written: Written[] = [];
  /** Sessions that were lost, with what psql said last. */
  readonly losses: string[] = [];
  private readonly port: number;
  private readonly name: number;
  private session: ChildProcess | undefined;
  private isStopped = false;
  private readonly ended: Promise<void>;

  /** Begins at once. The table is `t (writer int, row int, primary key (writer, row))`. */
  constructor(port: number, name: number, host: string) {
    this.port = port;
    this.name = name;
    this.ended = this.run(host);
  }

  async stop(): Promise<void> {
    this.isStopped = true;
    this.session?.kill('SIGKILL');
    await this.ended;
  }

  private async run(host: string): Promise<void> {
    while (!this.isStopped) {
      await this.writeUntilLost(host);
      if (!this.isStopped) await sleep(pauseAfterLossMs);
    }
  }

  private async writeUntilLost(host: string): Promise<void> {
    const flags = ['--no-psqlrc', '-At', '-q', '-v', 'ON_ERROR_STOP=1', '-U', 'pinion', '-d', 'postgres'];
    const session = spawn(
      requireCommand('postgres', 'psql'),
      [...flags, '-h', host, '-p', String(this.port)],
      { stdio: ['pipe', 'pipe', 'pipe'], env: { ...process.env, PGCONNECT_TIMEOUT: '5' } },
    );
    this.session = session;
    let said = '';
    session.stderr.setEncoding('utf8').on('data', (text: string) => {
      said += text;
    });
    session.stdin.on('error', () => {});
    const gone = new Promise<void>((resolve) => void session.on('close', () => resolve()));
    const answers = createInterface({ input: session.stdout });
    answers.on('line', (line) => {
      const [row = 0, by = 0] = line.split('|').map(Number);
      this.written.push({ row, by, atMs: performance.now() });
      setTimeout(() => this.write(session), pauseMs);
    });
    this.write(session);
    await gone;
    if (!this.isStopped) this.losses.push(said.trim());
  }

  private write(session: ChildProcess): void {
    const row = (this.written.at(-1)?.row ?? 0) + 1;
    // It may be there already: the answer alone was lost.
    const insert = `insert into t values (${this.name}, ${row}) on conflict do nothing`;
    session.stdin?.write(`with w as (${insert}) select ${row}, current_setting('port');\n`);
  }
}
