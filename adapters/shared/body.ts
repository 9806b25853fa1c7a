/**
 * The body of a pushed event: read whole, limited in bytes and time, from the request or from the result of a body
 * parser.
 */
import type { Readable } from 'node:stream'
import { MAX_EVENT_LENGTH, type Timer, world } from '../../src/adapter.js'
import type { ReceiverAnswer } from '../../src/index.js'

/** Maximum seconds for the whole body. Senders have it ready, and anyone can open a connection. */
const BODY_DEADLINE = 10

/** Answers before the end of the request. The rest of its body is not read. */
const CUT_SHORT = { headers: { 'Cache-Control': 'no-store' }, body: '' }
export const TOO_LONG: ReceiverAnswer = { status: 413, ...CUT_SHORT }
const TOO_SLOW: ReceiverAnswer = { status: 408, ...CUT_SHORT }
/** Usually the sender has disconnected. */
const BROKEN_OFF: ReceiverAnswer = { status: 400, ...CUT_SHORT }

/** The text of a body, or the answer to send instead. */
export type Body = string | ReceiverAnswer

/** Restores the text from a parser's result; undefined if it is empty. */
export function asText(parsed: unknown): string | undefined {
  if (typeof parsed === 'string') return parsed
  if (parsed instanceof Uint8Array) return Buffer.from(parsed).toString()
  if (typeof parsed !== 'object' || parsed === null || Object.keys(parsed).length === 0) return undefined
  const form = new URLSearchParams()
  // A form has texts, once or repeated. Other values of a parser are ignored.
  for (const [name, value] of Object.entries(parsed))
    for (const one of Array.isArray(value) ? value : [value]) if (typeof one === 'string') form.append(name, one)
  return form.toString()
}

/** Reads a Node stream until the body is decided. Does NOT destroy it: the answer uses the same connection. */
export function readNode(stream: Readable): Promise<Body> {
  if (stream.readableEnded) return Promise.resolve('')
  if (stream.destroyed) return Promise.resolve(BROKEN_OFF)
  return new Promise((resolve) => {
    const pieces = new Pieces()
    const onData = (chunk: Uint8Array | string): void => {
      if (!pieces.add(chunk)) settle(TOO_LONG)
    }
    const onEnd = (): void => settle(pieces.text())
    const onBroken = (): void => settle(BROKEN_OFF)
    const timer = world.after(1000 * BODY_DEADLINE, () => settle(TOO_SLOW))
    const settle = (body: Body): void => {
      world.cancel(timer)
      stream.off('data', onData).off('end', onEnd).off('close', onBroken).off('aborted', onBroken).pause()
      resolve(body)
    }
    stream.on('data', onData).on('end', onEnd).on('close', onBroken).on('aborted', onBroken)
    // This listener stays: an error may follow the answer, and without a listener it would end the process.
    stream.on('error', onBroken).resume()
  })
}

/** Reads the body of a `Request`. The host ends a rest that was not read. */
export async function readWeb(body: ReadableStream<Uint8Array> | null): Promise<Body> {
  if (body === null) return ''
  const pieces = new Pieces()
  let timer: Timer | undefined
  let reader: ReadableStreamDefaultReader<Uint8Array> | undefined
  try {
    reader = body.getReader()
    const late = new Promise<undefined>((resolve) => {
      timer = world.after(1000 * BODY_DEADLINE, () => resolve(undefined))
    })
    for (;;) {
      const next = await Promise.race([reader.read(), late])
      if (next === undefined) return TOO_SLOW
      if (next.done) return pieces.text()
      if (!pieces.add(next.value)) return TOO_LONG
    }
  } catch {
    return BROKEN_OFF
  } finally {
    world.cancel(timer)
    reader?.releaseLock()
  }
}

/** Collects the body, up to {@link MAX_EVENT_LENGTH} bytes. */
class Pieces {
  readonly #chunks: Buffer[] = []
  #bytes = 0

  /** @returns false once the limit is exceeded */
  add(chunk: Uint8Array | string): boolean {
    const piece = Buffer.from(chunk as Uint8Array)
    this.#bytes += piece.byteLength
    if (this.#bytes > MAX_EVENT_LENGTH) return false
    this.#chunks.push(piece)
    return true
  }

  text(): string {
    return Buffer.concat(this.#chunks).toString()
  }
}
