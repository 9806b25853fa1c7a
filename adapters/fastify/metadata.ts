/** The protected resource metadata (RFC 9728) of an app on Fastify. */
import type { FastifyInstance, FastifyReply } from 'fastify'
import type { MetadataAnswer, ResourceServer } from '../../src/index.js'
import { answeredWithMetadata } from '../shared/metadata.js'
import { bytes, requestOf } from './exchange.js'
import { encapsulatedError, isRoot, markServed, onInstanceItself } from './root.js'

/**
 * A plugin that only serves the RFC 9728 metadata of these servers, each at its own well-known path, without
 * authentication. For an app that protects with {@link protect}, or hosts several resources. Register it on the root
 * instance, before any `protect`.
 *
 * @throws {TypeError} at boot, on an instance other than the root: requests for the well-known path do not reach it
 */
export function protectedResourceMetadata(
  ...apis: readonly ResourceServer<never>[]
): (app: FastifyInstance) => Promise<void> {
  return onInstanceItself('oauth-resource-server-metadata', async (app: FastifyInstance) => {
    if (apis.some(({ metadata }) => metadata) && !isRoot(app))
      throw encapsulatedError(app, 'no request for the metadata at the root of the origin reaches it (RFC 8615 §3)')
    const served = markServed(app, apis)
    app.addHook('onRequest', (request, reply, done) => {
      // In a hook, because a router decodes the path and reads a body before a route's handler runs.
      if (!answeredWithMetadata(served, requestOf(request), reply, sendMetadata)) done()
    })
  })
}

/** Sends a metadata answer, unless the app's timeout has answered. */
export function sendMetadata({ status, headers, body }: MetadataAnswer, reply: FastifyReply): void {
  if (!reply.sent) void reply.code(status).headers(headers).send(bytes(body))
}
