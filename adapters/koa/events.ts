/** Receives pushed events in an app on Koa. Tests: `test/adapters/events.test.ts`, `test/adapters/contract.ts`. */
import type { Receiver } from '../../src/index.js'
import { receiveNode } from '../shared/receive.js'
import { type KoaMiddleware, send } from './exchange.js'

/**
 * Passes pushed events to their receiver, `securityEventReceiver(…)` or `logoutTokenReceiver(…)`, and answers the
 * sender. Mount it on its own path, before or after a body parser, and without `protect`: events are signed and carry
 * no access token.
 */
export function mount(receiver: Receiver): KoaMiddleware {
  return async (context) => {
    const { body: parsed } = (context.request ?? {}) as { readonly body?: unknown }
    const { status, headers, body } = await receiveNode(receiver, context.req, parsed)
    send(context, status, headers, body)
  }
}
