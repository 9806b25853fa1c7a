/** Requests to the authorization server by the host's own `fetch`, where undici does not run. */
import type { HttpDispatcher } from '../../src/index.js'

interface Outgoing {
  readonly origin: string
  readonly path: string
  readonly method: string
  readonly headers: Readonly<Record<string, string>>
  readonly body: string | null
  readonly signal: AbortSignal
}

/** Content codings that `fetch` decodes on every host. A list with any other coding stays encoded. */
const FETCH_DECODES: ReadonlySet<string> = new Set(['', 'gzip', 'x-gzip', 'deflate', 'br'])

/**
 * `http: { dispatcher: fetchDispatcher() }` sends requests to the authorization server with the host's own `fetch`,
 * where undici does not run (Bun). Limits of time, bytes and redirects still apply.
 *
 * Does NOT control connections: `publicAddressesOnly` and client certificates need undici.
 *
 * @param send default: the global `fetch`, read for each request
 */
export function fetchDispatcher(send: typeof fetch = (...exchange) => fetch(...exchange)): HttpDispatcher {
  const request = async ({ origin, path, method, headers, body, signal }: Outgoing): Promise<unknown> => {
    const response = await send(origin + path, { method, headers, body, signal, redirect: 'manual' })
    const stream = response.body ?? new Blob([]).stream()
    const fields = Object.fromEntries(response.headers)
    // `fetch` has already decoded these, but keeps the field.
    const codings = fields['content-encoding']?.toLowerCase().split(/[\s,]+/) ?? []
    if (codings.every((name) => FETCH_DECODES.has(name))) delete fields['content-encoding']
    return {
      statusCode: response.status,
      headers: fields,
      // Cancelling an unread body releases its connection.
      body: Object.assign(stream, { destroy: () => void stream.cancel().catch(() => undefined) })
    }
  }
  return { request: request as HttpDispatcher['request'] }
}
