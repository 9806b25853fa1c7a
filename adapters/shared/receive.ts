/** Passes a pushed event to its receiver, and ends the rest of a request whose body was not read. */
import type { IncomingMessage } from 'node:http'
import type { Readable } from 'node:stream'
import { MAX_EVENT_LENGTH } from '../../src/adapter.js'
import type { ReceivedRequest, Receiver, ReceiverAnswer } from '../../src/index.js'
import { asText, type Body, readNode, readWeb, TOO_LONG } from './body.js'
import { passable } from './refusals.js'
import { closeWhenAnswered, hasMore } from './streams.js'

/**
 * Receives an event over `node:http`. An answer before the end of the body also ends the rest of the request: on
 * HTTP/1.1 the connection (RFC 9112 §9.3), on HTTP/2 only the stream, which has no field `Connection` (RFC 9113 §8.1,
 * §8.2.2).
 *
 * @param parsed the result of a body parser, if one ran
 * @param stream the body, if it is not the request itself; null without a body
 */
export async function receiveNode(
  receiver: Receiver,
  request: IncomingMessage,
  parsed: unknown,
  stream: Readable | null = request
): Promise<ReceiverAnswer> {
  const { 'content-type': contentType, authorization } = request.headers
  const event = { method: request.method ?? '', contentType, authorization }
  const body = asText(parsed) ?? (stream === null ? '' : await readNode(stream))
  const answer = await receive(receiver, event, body)
  closeWhenAnswered(request)
  if (!hasMore(request)) return answer
  return { ...answer, headers: { ...answer.headers, Connection: 'close' } }
}

/**
 * Receives an event from a WHATWG `Request`.
 *
 * @param host the value that @hono/node-server passes besides a request: its `incoming` is needed to close an HTTP/2
 * stream after an answer
 * @param parse returns the body if other code has already read it
 */
export async function receiveFetch(
  receiver: Receiver,
  request: Request,
  host: unknown,
  parse?: () => Promise<unknown>
): Promise<Response> {
  const contentType = request.headers.get('content-type') ?? undefined
  const authorization = request.headers.get('authorization') ?? undefined
  const event = { method: request.method, contentType, authorization }
  const body = request.bodyUsed && parse ? (asText(await parse()) ?? '') : await readWeb(request.body)
  const answer = await receive(receiver, event, body)
  const { incoming } = (host ?? {}) as { readonly incoming?: IncomingMessage }
  if (incoming) closeWhenAnswered(incoming)
  return new Response(answer.body === '' ? null : answer.body, { status: answer.status, headers: answer.headers })
}

async function receive(receiver: Receiver, event: Omit<ReceivedRequest, 'body'>, body: Body): Promise<ReceiverAnswer> {
  if (typeof body !== 'string') return body
  if (Buffer.byteLength(body) > MAX_EVENT_LENGTH) return TOO_LONG
  try {
    return await receiver({ ...event, body })
  } catch (error) {
    throw passable(error)
  }
}
