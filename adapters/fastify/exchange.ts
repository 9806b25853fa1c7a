/** Tells the code that adapters share about Fastify: its request, its reply, and how a hook ends. */
import type { FastifyReply, FastifyRequest } from 'fastify'
import type { Access } from '../../src/index.js'
import { requireAccess } from '../shared/access.js'
import type { Handling } from '../shared/enforce.js'
import type { HeaderAccess } from '../shared/headers.js'
import { FastifyNodeRequest } from '../shared/host-log.js'
import type { NodeRequest } from '../shared/node-request.js'
import { surface } from '../shared/refusals.js'
import { createRun, type Run } from '../shared/run.js'
import { closeWhenAnswered } from '../shared/streams.js'

/** Fastify stores fields that a hook assigns to `request.headers` separately from `request.raw`. */
export function requestOf(request: FastifyRequest): NodeRequest {
  return new FastifyNodeRequest(request.raw, request.originalUrl, request.headers, request)
}

/** Reads and sets the reply's fields. */
export function headersOf(reply: FastifyReply): HeaderAccess {
  return [(name) => reply.getHeader(name), (name, value) => void reply.header(name, value)]
}

/** Fastify adds a charset to JSON text, but JSON has none (RFC 8259 §11). */
export function bytes(body: string | undefined): Buffer | undefined {
  return body === undefined ? undefined : Buffer.from(body)
}

type Done = (error?: Error) => void

/** Decides one request. */
export const run: Run<FastifyRequest, FastifyReply, Done, void> = createRun({
  load: ({ auth }: FastifyRequest) => auth,
  save: (request, access) => {
    request.auth = access ?? null
  },
  headersOf,
  isSent: ({ sent }: FastifyReply) => sent,
  refuse
})

function refuse(error: unknown, reply: FastifyReply, done: Done): void {
  // The app's timeout has answered meanwhile.
  if (!reply.sent) done(toThrow(error, reply) as Error)
}

function toThrow(error: unknown, reply: FastifyReply): object {
  closeWhenAnswered(reply.request.raw)
  return surface(error, ...headersOf(reply))
}

/** @throws {Error} the route is not protected, or a waiver accepted the request without a token */
export function accessOf(request: FastifyRequest): Access {
  return requireAccess(request.auth, 'this request')
}

/** For `enforce` in a handler. */
export const handling: Handling<FastifyReply> = {
  getAuth: ({ request }) => accessOf(request),
  read: ({ request }) => requestOf(request),
  toThrow
}
