/** The connection of a request: the client's address and certificate, and its end. */

/** The used part of a connection, such as a socket of `node:net` or `node:tls`. */
export interface Connection {
  readonly remoteAddress?: string | undefined
  /** The certificate that the client authenticated with, on a TLS server with `requestCert`. */
  getPeerX509Certificate?(): { readonly raw: Uint8Array } | undefined
}

/** A connection, or an HTTP/2 stream, that emits `close`. */
export interface Closing {
  readonly destroyed?: boolean
  once?(event: 'close', listener: () => void): unknown
  off?(event: 'close', listener: () => void): unknown
}

/** Requests that wait on a connection. All share one listener, however many are pipelined. */
interface Listening {
  readonly calls: Set<() => void>
  readonly listener: () => void
}

const listening = new WeakMap<Closing, Listening>()

/**
 * Calls back when the connection closes, or at once if it has closed.
 *
 * @returns a function that unsubscribes
 */
export function onClose(connection: Closing | null | undefined, call: () => void): () => void {
  if (typeof connection?.once !== 'function') return () => undefined
  if (connection.destroyed === true) {
    call()
    return () => undefined
  }
  const { calls, listener } = listening.get(connection) ?? listen(connection)
  calls.add(call)
  return () => {
    calls.delete(call)
    if (calls.size > 0) return
    connection.off?.('close', listener)
    listening.delete(connection)
  }
}

function listen(connection: Closing): Listening {
  const calls = new Set<() => void>()
  const listener = (): void => {
    listening.delete(connection)
    for (const call of calls) call()
  }
  const made = { calls, listener }
  listening.set(connection, made)
  connection.once?.('close', listener)
  return made
}
