/** Receives pushed events in an app on Fastify. */
import type { Readable } from 'node:stream'
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import type { Receiver } from '../../src/index.js'
import { receiveNode } from '../shared/receive.js'
import { bytes } from './exchange.js'

/**
 * A plugin that passes pushed events to their receiver, `securityEventReceiver(…)` or `logoutTokenReceiver(…)`, and
 * answers the sender: `app.register(securityEvents(receiver), { prefix: '/security-events' })`. It reads bodies itself,
 * whatever parsers the app has. It is never protected: events are signed and carry no access token.
 *
 * @throws {TypeError} at boot, without a prefix
 */
export function mount(receiver: Receiver): (app: FastifyInstance) => Promise<void> {
  return async (app) => {
    if (app.prefix === '')
      throw new TypeError('oauth-resource-server: events need a path: app.register(…, { prefix: "/security-events" })')
    app.removeAllContentTypeParsers()
    app.addContentTypeParser('*', (_request, payload, done) => done(null, payload))
    const hand = async (request: FastifyRequest, reply: FastifyReply, sent: unknown): Promise<unknown> => {
      const { status, headers, body } = await receiveNode(
        receiver,
        request.raw,
        undefined,
        (sent as Readable | undefined) ?? null
      )
      return reply
        .code(status)
        .headers(headers)
        .send(body === '' ? undefined : bytes(body))
    }
    app.setErrorHandler<Error & { readonly statusCode?: number }>((error, request, reply) => {
      if ((error.statusCode ?? 500) >= 500) throw error
      // Fastify's own error about an invalid content type; the receiver answers it.
      return hand(request, reply, undefined)
    })
    app.all('/', { config: { auth: false } }, (request, reply) => hand(request, reply, request.body))
  }
}
