/** Refusals as HTTP, GraphQL and WebSocket clients get them. No answer has a token, a hint, or the message of a 5xx. */
import { type IncomingMessage, type ServerResponse, STATUS_CODES } from 'node:http'
import { HttpException } from '@nestjs/common'
import type { ResourceServerError } from '../../src/index.js'
import { factsOf, type Render } from '../shared/error-body.js'
import { addHeaders, forgetContent } from '../shared/headers.js'
import { answerWith, contentOf } from '../shared/refusals.js'
import { headersOf, isSent, type NestRequest, type NestResponse } from './exchange.js'

/** Answers over HTTP, on Express and Fastify. */
export function answer(error: ResourceServerError, request: NestRequest, response: NestResponse, render: Render): void {
  if (isSent(response)) return
  if (response.code === undefined) {
    answerWith(error, request as IncomingMessage, response as unknown as ServerResponse, render)
    return
  }
  const { body, fields } = contentOf(error, render)
  forgetContent(response)
  addHeaders({ ...error.headers, ...fields }, ...headersOf(response))
  response.code(error.status)
  // Fastify adds a charset to JSON text, but JSON has none (RFC 8259 §11).
  response.send?.(Buffer.from(body))
}

/**
 * A refusal over HTTP, as Nest's own exceptions are: a filter of the application that catches everything answers it with
 * its status, not with 500. Its header fields, with the challenge, are on the response already.
 */
export class RefusalException extends HttpException {
  /** The error with its reason and hint. */
  readonly refusal: ResourceServerError

  constructor(refusal: ResourceServerError) {
    const { message, body } = readable(refusal)
    super({ statusCode: refusal.status, message, ...body }, refusal.status, { cause: refusal })
    this.refusal = refusal
  }
}

/** A sentence and the members of the body: the parts of a refusal that clients may read. */
export function readable(error: ResourceServerError): { readonly message: string; readonly body: object } {
  const { description = STATUS_CODES[error.status] ?? '' } = factsOf(error)
  return { message: description, body: error.toJSON() ?? {} }
}

/**
 * The error of a resolver. Servers that read `extensions.http`, such as Apollo Server and Yoga, answer with its status
 * and its header fields: Apollo Server reads them as a Map, Yoga as an object.
 */
export function graphqlError(error: ResourceServerError): Error {
  const { message, body } = readable(error)
  const fields = Object.entries(error.headers).map(([name, value]) => [name, [value].flat().join(', ')] as const)
  const headers = Object.assign(new Map(fields), Object.fromEntries(fields))
  const extensions = { code: error.code ?? error.reason, ...body, http: { status: error.status, headers } }
  return Object.assign(new Error(message), { extensions })
}

/** The used part of a client of socket.io, which has `handshake`, or of `ws`. */
export interface SocketClient {
  readonly handshake?: object
  emit(event: string, body: object): unknown
  send(text: string): unknown
}

/** Sends the message `exception`, as Nest's own filter does. */
export function tellClient(error: ResourceServerError, client: SocketClient): void {
  const { message, body } = readable(error)
  const data = { status: 'error', message, ...body }
  if (client.handshake === undefined) client.send(JSON.stringify({ event: 'exception', data }))
  else client.emit('exception', data)
}
