/** Ends connections and HTTP/2 streams whose request body nobody reads. */
import type { IncomingMessage, OutgoingHttpHeaders, ServerResponse } from 'node:http'
import type { Duplex } from 'node:stream'

/**
 * True for a body that is still on its way, all of which would have to be read before the next request of HTTP/1.1. `complete`
 * alone does not tell: before anything is read, a request without a body is not complete either.
 */
export function hasMore({
  complete,
  headers,
  httpVersionMajor
}: Pick<IncomingMessage, 'complete' | 'headers' | 'httpVersionMajor'>): boolean {
  // A stream of HTTP/2 ends alone, and its connection is for others too (RFC 9113 §8.2.2).
  if (complete || httpVersionMajor > 1) return false
  return headers['transfer-encoding'] !== undefined || Number(headers['content-length'] ?? 0) !== 0
}

/** What is used of a stream of HTTP/2. */
export interface Http2Stream extends Duplex {
  readonly headersSent: boolean
  /** `localClose` is 1 once END_STREAM was sent. */
  readonly state: { readonly localClose?: number }
  respond(headers: OutgoingHttpHeaders): void
  close(code: number): void
}

/** RFC 9113 §7. */
export const NO_ERROR = 0

export const INTERNAL_ERROR = 2

/**
 * Ends a response that has begun and will not be finished, so that the client does not wait for the rest, nor takes what is
 * there for whole. Leaves one alone whose end was written.
 */
export function cutOff(response: ServerResponse & { readonly stream?: Http2Stream }): void {
  if (response.writableEnded) return
  if (response.stream) response.stream.close(INTERNAL_ERROR)
  else response.destroy()
}

/** Milliseconds between two looks at whether the end of an answer was sent. */
const END_CHECK_INTERVAL = 10

/**
 * Closes a stream of HTTP/2 once its whole answer is sent, if its request has not ended by then. Otherwise a client could keep
 * the stream open for as long as it likes (RFC 9113 §8.1). Node.js closes only streams whose body nothing began to read.
 * Does nothing on HTTP/1.1.
 */
export function closeWhenAnswered(request: IncomingMessage | undefined): void {
  const { stream } = (request ?? {}) as { readonly stream?: Http2Stream | null }
  if (request === undefined || request.complete || typeof stream?.close !== 'function') return
  const close = (): void => {
    if (stream.closed) return
    // Node.js sends END_STREAM after 'finish' and has no event for it. RST_STREAM before it would cut the answer off.
    if (stream.state.localClose !== 1) return void setTimeout(close, END_CHECK_INTERVAL).unref()
    stream.close(NO_ERROR)
    // Node.js forgets the stream only once the bytes that came are read.
    request.resume()
  }
  if (stream.writableFinished) setImmediate(close)
  else stream.once('finish', () => setImmediate(close))
}
