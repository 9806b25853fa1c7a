/** A WHATWG `Request` as the core reads it. Shared by the adapters for Hono and `fetch`. */
import type { ResourceRequest } from '../../src/index.js'
import type { Connection } from './connection.js'

/** A `Request` as the core reads it. `Headers` joins repeated fields with a comma; the core detects that. */
export class FetchRequest implements ResourceRequest {
  readonly #headers: Headers
  readonly #request: { readonly signal?: AbortSignal }
  readonly #connection: Connection | undefined
  readonly method: string
  readonly url: string

  /** @param connection the request's connection, if the host exposes it */
  constructor(
    request: Pick<Request, 'method' | 'url' | 'headers'> & { readonly signal?: AbortSignal },
    connection?: Connection
  ) {
    this.#headers = request.headers
    this.#request = request
    this.#connection = connection
    this.method = request.method
    const { pathname, search } = new URL(request.url)
    this.url = pathname + search
  }

  fieldLines(name: string): readonly string[] {
    const value = this.#headers.get(name)
    return value === null ? [] : [value]
  }

  certificate(): Uint8Array | undefined {
    return this.#connection?.getPeerX509Certificate?.()?.raw
  }

  get peerAddress(): string | undefined {
    return this.#connection?.remoteAddress
  }

  onGone(listener: () => void): () => void {
    const { signal } = this.#request
    if (signal?.aborted) listener()
    signal?.addEventListener('abort', listener, { once: true })
    return () => signal?.removeEventListener('abort', listener)
  }
}
