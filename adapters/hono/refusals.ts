/**
 * Corrects the response that Hono creates for a refusal. Hono keeps header fields that a handler set for other content,
 * and the earlier value of a field that already exists.
 */
import { Refusal, type ResourceServerError } from '../../src/index.js'
import { requireAccess } from '../shared/access.js'
import type { Handling } from '../shared/enforce.js'
import { addHeaders, forgetContent } from '../shared/headers.js'
import { surface } from '../shared/refusals.js'
import { fieldsOf, type HonoContext, HonoRequest, headersOf } from './exchange.js'

/**
 * Corrects Hono's response to an error that a handler threw. Hono keeps the earlier value of existing fields: a length
 * of other content, permission to cache, challenges without ours.
 */
export function restate({ status, headers }: ResourceServerError, context: HonoContext): void {
  const [existing, set] = headersOf(context)
  context.header('Content-Length')
  // The application replaced the response.
  if (context.res.status !== status) return
  const challenge = [headers['WWW-Authenticate'] ?? []].flat().join(', ')
  const { 'WWW-Authenticate': _, ...others } = headers
  const isThere = String(existing('WWW-Authenticate')).includes(challenge)
  addHeaders(isThere ? others : headers, existing, set)
}

/**
 * Removes content fields only when the refusal's response is created, not before: a handler may catch the refusal and
 * continue, and its fields are correct then. The length is removed at once. It is computed anyway, and a wrong one
 * would break the connection.
 */
function forgettingContent(error: object, context: HonoContext): object {
  const forget = (): void => forgetContent(fieldsOf(context))
  if (error instanceof Refusal) {
    context.header('Content-Length')
    const getResponse = (): Response => {
      forget()
      return error.toResponse()
    }
    Object.defineProperty(error, 'getResponse', { value: getResponse, configurable: true, writable: true })
  }
  // Other errors may be shared by many requests.
  else forget()
  return error
}

/** For `enforce` in a handler. */
export const handling: Handling<HonoContext> = {
  getAuth: (context) => requireAccess(context.get('auth'), 'this context'),
  read: (context) => new HonoRequest(context),
  toThrow: (error, context) => forgettingContent(surface(error, ...headersOf(context)), context)
}
