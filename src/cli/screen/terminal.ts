/** The terminal that is written to, if it is one. */
import { type Line, paint } from './line.ts';

export interface Terminal {
  /** Columns and rows; Infinity: there is no terminal. */
  readonly width: number;
  readonly height: number;
  readonly isColoured: boolean;
}

/** @param env NO_COLOR (no-color.org): anything but an empty text turns colour off; FORCE_COLOR: anything but 0 turns it on */
export function terminalOf(
  stream: Pick<NodeJS.WriteStream, 'columns' | 'rows' | 'isTTY'>,
  env: NodeJS.ProcessEnv,
): Terminal {
  const { NO_COLOR: none = '', FORCE_COLOR: forced = '', TERM: kind } = env;
  const isWanted = forced !== '' && forced !== '0';
  return {
    // One that does not know its size, as a serial console, says 0.
    width: stream.isTTY ? stream.columns || 80 : Number.POSITIVE_INFINITY,
    height: stream.isTTY ? stream.rows || 24 : Number.POSITIVE_INFINITY,
    isColoured: none === '' && (isWanted || (stream.isTTY === true && kind !== 'dumb')),
  };
}

/** Lines as text that ends with a line break. */
export function textOf(lines: readonly Line[], isColoured: boolean): string {
  return lines.map((line) => `${paint(line, isColoured)}\n`).join('');
}
