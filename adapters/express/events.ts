/** Receives pushed events in an app on Express. Tests: `test/adapters/events.test.ts`, `test/adapters/contract.ts`. */
import type { Receiver } from '../../src/index.js'
import { receiveNode } from '../shared/receive.js'
import type { ExpressHandler } from './exchange.js'

/**
 * Passes pushed events to their receiver, `securityEventReceiver(…)` or `logoutTokenReceiver(…)`, and answers the
 * sender. Mount it on its own path, before or after a body parser, and without `protect`: events are signed and carry
 * no access token.
 */
export function mount(receiver: Receiver): ExpressHandler {
  return (request, response, next) => {
    // Not declared in our request type, because that would replace the handler's own type of the body.
    const { body: parsed } = request as { readonly body?: unknown }
    receiveNode(receiver, request, parsed).then(({ status, headers, body }) => {
      // A timeout middleware has answered meanwhile.
      if (response.headersSent) return
      response.writeHead(status, { ...headers, 'Content-Length': Buffer.byteLength(body) }).end(body)
    }, next)
  }
}
