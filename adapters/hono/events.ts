/** Receives pushed events in an app on Hono. Tests: `test/adapters/events.test.ts`, `test/adapters/contract.ts`. */
import type { Receiver } from '../../src/index.js'
import { receiveFetch } from '../shared/receive.js'
import type { HonoContext } from './exchange.js'

/**
 * Passes pushed events to their receiver, `securityEventReceiver(…)` or `logoutTokenReceiver(…)`, and answers the
 * sender. Use it on its own path, without `protect`: events are signed and carry no access token.
 */
export function mount(receiver: Receiver): (context: Pick<HonoContext, 'req' | 'env'>) => Promise<Response> {
  return ({ req, env }) => {
    const isForm = req.raw.headers.get('content-type')?.toLowerCase().startsWith('application/x-www-form-urlencoded')
    return receiveFetch(receiver, req.raw, env, async () => (isForm ? req.parseBody?.() : req.text?.()))
  }
}
