/**
 * Where a backend is, in the kernel's form: computed once for each backend view and kept, because reading an
 * address from text for every connection would cost more than connecting.
 */
import type { BackendView } from '../../core/snapshot.ts';
import type { Region } from '../../linux/arena.ts';
import { type Endpoint, encodeEndpoint } from '../../linux/endpoint.ts';

export class Endpoints {
  readonly #name: Region;
  readonly #known = new WeakMap<BackendView, Endpoint>();

  /** @param name where {@link place} puts addresses */
  constructor(name: Region) {
    this.#name = name;
  }

  /** Writes the address of `backend` to the name region. Undefined if it has none (yet). */
  place(backend: BackendView): Endpoint | undefined {
    let endpoint = this.#known.get(backend);
    if (endpoint === undefined) {
      endpoint = encodeEndpoint(backend.target);
      if (endpoint === undefined) return undefined;
      this.#known.set(backend, endpoint);
    }
    this.#name.bytes.set(endpoint.bytes);
    return endpoint;
  }
}
