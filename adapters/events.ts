/**
 * What the adapters need to hand a pushed event to its receiver: the whole body, bounded in bytes and time, from the
 * request itself or from a body parser that had it first.
 */
import type { IncomingMessage } from 'node:http'
import { MAX_EVENT_LENGTH, type ReceivedRequest, type Receiver, type ReceiverAnswer } from '../src/index.js'
import { passable } from './node-request.js'

/** Seconds for the whole body: whoever may send events has them at hand, and anybody can open a connection. */
const BODY_DEADLINE = 10

/** An answer before the end of the request: no more of it is read. */
const CUT_SHORT = { headers: { Connection: 'close', 'Cache-Control': 'no-store' }, body: '' }
const TOO_LONG: ReceiverAnswer = { status: 413, ...CUT_SHORT }
const TOO_SLOW: ReceiverAnswer = { status: 408, ...CUT_SHORT }
/** Whoever sent half of it is gone, most of the time. */
const BROKEN_OFF: ReceiverAnswer = { status: 400, ...CUT_SHORT }

type Body = AsyncIterable<Uint8Array | string> | Iterable<Uint8Array>

/**
 * @param parsed what a body parser left, if one did
 * @param stream where the body is, if not on the request itself
 */
export async function receiveNode(
  receiver: Receiver,
  request: IncomingMessage,
  parsed: unknown,
  stream: Body = request
): Promise<ReceiverAnswer> {
  const { 'content-type': contentType, authorization } = request.headers
  const event = { method: request.method ?? '', contentType, authorization }
  return receive(receiver, event, asText(parsed) ?? (await read(stream)))
}

/** @param parse what has read the body already, where something has */
export async function receiveFetch(
  receiver: Receiver,
  request: Request,
  parse?: () => Promise<unknown>
): Promise<Response> {
  const contentType = request.headers.get('content-type') ?? undefined
  const authorization = request.headers.get('authorization') ?? undefined
  const event = { method: request.method, contentType, authorization }
  const body = request.bodyUsed && parse ? (asText(await parse()) ?? '') : await read(request.body ?? [])
  const answer = await receive(receiver, event, body)
  return new Response(answer.body === '' ? null : answer.body, { status: answer.status, headers: answer.headers })
}

async function receive(
  receiver: Receiver,
  event: Omit<ReceivedRequest, 'body'>,
  body: string | ReceiverAnswer
): Promise<ReceiverAnswer> {
  if (typeof body !== 'string') return body
  if (Buffer.byteLength(body) > MAX_EVENT_LENGTH) return TOO_LONG
  try {
    return await receiver({ ...event, body })
  } catch (error) {
    throw passable(error)
  }
}

/** The text that a parser made something else of; undefined where it left nothing. */
function asText(parsed: unknown): string | undefined {
  if (typeof parsed === 'string') return parsed
  if (parsed instanceof Uint8Array) return Buffer.from(parsed).toString()
  if (typeof parsed !== 'object' || parsed === null || Object.keys(parsed).length === 0) return undefined
  const form = new URLSearchParams()
  // A form has texts, once or more; what else a parser makes of a body is none, and none of ours.
  for (const [name, value] of Object.entries(parsed))
    for (const one of Array.isArray(value) ? value : [value]) if (typeof one === 'string') form.append(name, one)
  return form.toString()
}

/** The text, or what to answer instead. */
async function read(body: Body): Promise<string | ReceiverAnswer> {
  let timer: NodeJS.Timeout | undefined
  const late = new Promise<ReceiverAnswer>((resolve) => {
    timer = setTimeout(() => resolve(TOO_SLOW), 1000 * BODY_DEADLINE)
  })
  try {
    return await Promise.race([collect(body), late])
  } catch {
    return BROKEN_OFF
  } finally {
    clearTimeout(timer)
  }
}

async function collect(body: Body): Promise<string | ReceiverAnswer> {
  const chunks: Buffer[] = []
  let bytes = 0
  for await (const chunk of body) {
    const piece = Buffer.from(chunk as Uint8Array)
    bytes += piece.byteLength
    if (bytes > MAX_EVENT_LENGTH) return TOO_LONG
    chunks.push(piece)
  }
  return Buffer.concat(chunks).toString()
}
