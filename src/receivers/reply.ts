/**
 * The answers that both receivers send: an empty success, 405, 400 with a JSON body, and 503 for a failure on our side.
 *
 * Does NOT choose the error codes: each protocol has its own, see `security-events.ts` and `logout-token.ts`.
 *
 * Tests: `test/rfc/rfc8935-set.test.ts`.
 */
import { ResourceServerError, Unavailable } from '../errors/errors.js'
import { RevocationsFull } from '../revocation/revocations.js'
import type { ReceiverAnswer } from './receiver.js'

/** Seconds after which a sender should retry, unless the failure names another time. */
export const RETRY_AFTER = 30

/** The event took effect. */
export function succeeded(status: 200 | 202): ReceiverAnswer {
  return { status, headers: { 'Cache-Control': 'no-store' }, body: '' }
}

export function methodNotAllowed(): ReceiverAnswer {
  return { status: 405, headers: { Allow: 'POST' }, body: '' }
}

/** The sender's fault: senders do not retry after a 400. @param language  the `Content-Language` of the descriptions */
export function badRequest(body: Readonly<Record<string, string>>, language?: 'en'): ReceiverAnswer {
  return {
    status: 400,
    headers: {
      'Content-Type': 'application/json',
      ...(language !== undefined && { 'Content-Language': language }),
      'Cache-Control': 'no-store'
    },
    body: JSON.stringify(body)
  }
}

/**
 * 503 for an outage, a misconfiguration or a full memory: the sender keeps the event and retries.
 *
 * @throws the error itself, if it is a bug
 */
export function unavailable(error: unknown): ReceiverAnswer {
  if (!(error instanceof ResourceServerError || error instanceof RevocationsFull)) throw error
  const retryAfter = error instanceof Unavailable ? error.retryAfter : RETRY_AFTER
  return { status: 503, headers: { 'Retry-After': String(retryAfter), 'Cache-Control': 'no-store' }, body: '' }
}
