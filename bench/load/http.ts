/** The one small request the HTTP loads send, and how long its answer is (the same every time). */
import { once } from 'node:events';
import { connect } from 'node:net';
import { Memory } from './libc.ts';

/** A GET for `/` in memory of its own. */
export function httpRequest(connection: 'keep-alive' | 'close'): Memory {
  const text = `GET / HTTP/1.1\r\nHost: bench\r\nConnection: ${connection}\r\n\r\n`;
  const memory = new Memory(text.length);
  memory.bytes.write(text, 'latin1');
  return memory;
}

/** Asks once and measures the answer: header and body, in bytes. Rejects when there is no answer of that form. */
export async function answerBytes(host: string, port: number, request: Memory): Promise<number> {
  const socket = connect(port, host);
  await once(socket, 'connect');
  socket.write(request.bytes);
  let text = '';
  for await (const chunk of socket.setEncoding('latin1')) {
    text += chunk;
    const length = /\r\nContent-Length: (\d+)\r\n(?:.*\r\n)*\r\n/i.exec(text);
    const size = length === null ? Number.NaN : text.indexOf('\r\n\r\n') + 4 + Number(length[1]);
    if (text.length >= size) {
      socket.destroy();
      return size;
    }
  }
  throw new Error(`no HTTP answer with a length from ${host}:${port}: ${text.slice(0, 200)}`);
}
