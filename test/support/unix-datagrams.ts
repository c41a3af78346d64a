/** A unix datagram socket that keeps what is sent to it: the end of the notify protocol that a service manager has. Node has none. */
import { Arena } from '../../src/linux/arena.ts';
import { AF_UNIX, SOCK_CLOEXEC, SOCK_DGRAM, SOCK_NONBLOCK } from '../../src/linux/constants.ts';
import { encodeEndpoint } from '../../src/linux/endpoint.ts';
import { bind, close, type Descriptor, receive, socket } from '../../src/linux/libc.ts';

const datagramBytesMax = 4_096;
const lookMs = 20;

export class UnixDatagrams {
  /** What came, oldest first. */
  readonly texts: string[] = [];
  readonly #fd: Descriptor;
  readonly #timer: NodeJS.Timeout;

  /** @param path a path, or `@` and a name of the abstract namespace */
  constructor(path: string) {
    const arena = new Arena(datagramBytesMax + 256);
    const [memory, name] = [arena.cut(datagramBytesMax), arena.cut(128)];
    const endpoint = encodeEndpoint({ kind: 'unix', path });
    if (endpoint === undefined) throw new Error(`${path} is no path for a unix socket`);
    this.#fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC);
    name.bytes.set(endpoint.bytes);
    const result = bind(this.#fd, name, endpoint.length);
    if (result < 0) throw new Error(`${path} cannot be bound: ${result}`);
    this.#timer = setInterval(() => {
      for (;;) {
        const length = receive(this.#fd, memory, 0, memory.length);
        if (length < 0) return;
        this.texts.push(Buffer.from(memory.bytes.subarray(0, length)).toString());
      }
    }, lookMs);
  }

  /** The newest text that matches, among those from the `since`th on. */
  last(pattern: RegExp, since = 0): string | undefined {
    return this.texts.slice(since).findLast((text) => pattern.test(text));
  }

  close(): void {
    clearInterval(this.#timer);
    close(this.#fd);
  }
}
