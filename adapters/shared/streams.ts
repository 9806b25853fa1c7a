/** Ends connections and HTTP/2 streams whose request body is not read. */
import type { IncomingMessage, OutgoingHttpHeaders, ServerResponse } from 'node:http'
import type { Duplex } from 'node:stream'

/**
 * True if the rest of a request body is still arriving. HTTP/1.1 would have to read it before the next request.
 * `complete` alone is not enough: before any read, it is false for a request without a body too.
 */
export function hasMore({
  complete,
  headers,
  httpVersionMajor
}: Pick<IncomingMessage, 'complete' | 'headers' | 'httpVersionMajor'>): boolean {
  // An HTTP/2 stream ends on its own; its connection serves other streams too (RFC 9113 §8.2.2).
  if (complete || httpVersionMajor > 1) return false
  return headers['transfer-encoding'] !== undefined || Number(headers['content-length'] ?? 0) !== 0
}

/** The used part of an HTTP/2 stream. */
export interface Http2Stream extends Duplex {
  readonly headersSent: boolean
  respond(headers: OutgoingHttpHeaders): void
  close(code: number): void
}

/** RFC 9113 §7. */
export const NO_ERROR = 0

export const INTERNAL_ERROR = 2

/**
 * Ends a response that has begun and cannot be finished, so that the client neither waits for the rest nor takes the
 * beginning for complete. Does nothing if the response's end was already written.
 */
export function cutOff(response: ServerResponse & { readonly stream?: Http2Stream }): void {
  if (response.writableEnded) return
  if (response.stream) response.stream.close(INTERNAL_ERROR)
  else response.destroy()
}

/**
 * Closes an HTTP/2 stream once its response is sent, if its request has not ended: otherwise a client could keep it
 * open (RFC 9113 §8.1). Node.js closes it only if nothing has begun to read the body. Does nothing on HTTP/1.1.
 */
export function closeWhenAnswered(request: IncomingMessage | undefined): void {
  const { stream } = (request ?? {}) as { readonly stream?: Http2Stream | null }
  if (request === undefined || request.complete || typeof stream?.close !== 'function') return
  const close = (): void => {
    if (stream.closed) return
    stream.close(NO_ERROR)
    // Unread data would keep Node.js from releasing the stream.
    request.resume()
  }
  if (stream.writableFinished) setImmediate(close)
  else stream.once('finish', () => setImmediate(close))
}
