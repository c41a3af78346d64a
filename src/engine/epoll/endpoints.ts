/**
 * Where a backend is, in the kernel's form: computed once for each backend view and kept, because reading an
 * address from text for every connection would cost more than connecting.
 */
import { targetAt } from '../../core/dial-target.ts';
import type { BackendView } from '../../core/snapshot.ts';
import type { Region } from '../../linux/arena.ts';
import { type Endpoint, encodeEndpoint } from '../../linux/endpoint.ts';

/** For a backend on the port that the client came to there is one for each such port. */
type Known = Endpoint | Map<number, Endpoint>;

export class Endpoints {
  readonly #name: Region;
  readonly #known = new WeakMap<BackendView, Known>();

  /** @param name where {@link place} puts addresses */
  constructor(name: Region) {
    this.#name = name;
  }

  /**
   * Writes the address of `backend` to the name region. Undefined if it has none (yet).
   * @param localPort the port the client came to
   */
  place(backend: BackendView, localPort: number): Endpoint | undefined {
    const known = this.#known.get(backend);
    const endpoint =
      known === undefined || known instanceof Map ? this.#encode(backend, localPort, known) : known;
    if (endpoint !== undefined) this.#name.bytes.set(endpoint.bytes);
    return endpoint;
  }

  #encode(
    backend: BackendView,
    localPort: number,
    byPort: Map<number, Endpoint> | undefined,
  ): Endpoint | undefined {
    const known = byPort?.get(localPort);
    if (known !== undefined) return known;
    const { target } = backend;
    const at = target && targetAt(target, localPort);
    const endpoint = encodeEndpoint(at);
    if (endpoint === undefined) return undefined;
    if (at === target) this.#known.set(backend, endpoint);
    else if (byPort === undefined) this.#known.set(backend, new Map([[localPort, endpoint]]));
    else byPort.set(localPort, endpoint);
    return endpoint;
  }
}
