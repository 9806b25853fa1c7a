/** Ends connections and HTTP/2 streams whose request body is not read. */

import type { IncomingMessage, OutgoingHttpHeaders, ServerResponse } from 'node:http'
import type { Duplex } from 'node:stream'
import { world } from '../../src/adapter.js'

/**
 * True if the rest of a body is still to come. On HTTP/1.1 all of it would have to be read before the next request.
 * `complete` alone does not tell: before anything is read, a request without a body is not complete either.
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
  /** `localClose` is 1 once END_STREAM was sent. */
  readonly state: { readonly localClose?: number }
  respond(headers: OutgoingHttpHeaders): void
  close(code: number): void
}

/** RFC 9113 §7. */
export const NO_ERROR = 0

export const INTERNAL_ERROR = 2

/**
 * Cuts off a response that has begun and will not be finished, so that the client neither waits for the rest nor takes
 * the part for the whole. Leaves a finished response alone.
 */
export function cutOff(response: ServerResponse & { readonly stream?: Http2Stream }): void {
  if (response.writableEnded) return
  if (response.stream) response.stream.close(INTERNAL_ERROR)
  else response.destroy()
}

/** Milliseconds between two checks whether the end of a response was sent. */
const END_CHECK_INTERVAL = 10

/**
 * Closes an HTTP/2 stream when its whole response is sent, if its request has not ended by then. Otherwise a client
 * could keep the stream open as long as it likes (RFC 9113 §8.1). Node.js closes a stream itself only if no code began
 * to read its body. Does nothing on HTTP/1.1.
 */
export function closeWhenAnswered(request: IncomingMessage | undefined): void {
  const { stream } = (request ?? {}) as { readonly stream?: Http2Stream | null }
  if (request === undefined || request.complete || typeof stream?.close !== 'function') return
  const close = (): void => {
    if (stream.closed) return
    // Node.js sends END_STREAM after 'finish' and has no event for it. An earlier RST_STREAM would cut the response
    // off.
    if (stream.state.localClose !== 1) return void world.after(END_CHECK_INTERVAL, close).unref()
    stream.close(NO_ERROR)
    // Node.js releases the stream only after the received bytes are read.
    request.resume()
  }
  if (stream.writableFinished) world.soon(close)
  else stream.once('finish', () => world.soon(close))
}
