/** Passes refusals to frameworks, and answers them where there is no framework. */
import type { IncomingMessage, ServerResponse } from 'node:http'
import { emitWarning } from 'node:process'
import { type HeaderFields, Misconfigured, ResourceServerError } from '../../src/index.js'
import { oauthContent, type Render } from './error-body.js'
import { addHeaders, forgetContent, headersOf, mergeHeaders, setAll } from './headers.js'

/**
 * Sets a refusal's header fields on the response *and* stores them, merged, on the error: Koa's default handler drops
 * the former, a custom handler in Express or Fastify loses the latter.
 *
 * @returns the error to throw or to pass on: {@link passable}
 */
export function surface(
  error: unknown,
  existing: (name: string) => unknown,
  set: (name: string, value: string | string[]) => void
): object {
  if (!(error instanceof ResourceServerError)) return passable(error)
  const merged = mergeHeaders(error.headers, existing)
  // All waiting requests share one outage error, so only errors with a challenge get this request's fields.
  if ('WWW-Authenticate' in merged) error.headers = merged
  setAll(merged, set)
  return error
}

/**
 * Turns any thrown value into one that every framework treats as a failure. Callbacks take undefined for success,
 * 'route' makes Express skip the remaining handlers, and Koa sends no answer. A resource server throws only errors, but
 * a wrapper might not.
 */
export function passable(error: unknown): object {
  return typeof error === 'object' && error !== null
    ? error
    : new TypeError('it failed with a value that is not an Error', { cause: error })
}

/**
 * The status for a thrown value that is not an Error: always 400 to 599.
 *
 * @param begun the response's current status
 */
export function failureStatus(thrown: unknown, begun: number): number {
  const { status, statusCode = status } = (thrown ?? {}) as { readonly status?: unknown; readonly statusCode?: unknown }
  return [statusCode, begun].find(isFailure) ?? 500
}

function isFailure(status: unknown): status is number {
  return Number.isInteger(status) && (status as number) >= 400 && (status as number) <= 599
}

/** The body of an answer, which may be empty, and the fields about it. */
export function contentOf(
  error: ResourceServerError,
  render: Render = oauthContent
): { readonly body: string; readonly fields: HeaderFields } {
  const { body, type } = render(error)
  const fields = { 'Content-Length': String(Buffer.byteLength(body)) }
  return { body, fields: type === undefined ? fields : { ...fields, 'Content-Type': type } }
}

/** Answers with an error and replaces the content fields that a handler had set. */
export function answerWith(
  error: ResourceServerError,
  { method }: Pick<IncomingMessage, 'method'>,
  response: ServerResponse,
  render: Render
): void {
  const { body, fields } = contentOf(error, render)
  forgetContent(response)
  addHeaders({ ...error.headers, ...fields }, ...headersOf(response))
  response.statusCode = error.status
  response.end(method === 'HEAD' ? undefined : body)
}

/** An error that is not this package's is a fault of a check: a process warning, and 500 to the client. */
export function asRefusal(error: unknown): ResourceServerError {
  if (error instanceof ResourceServerError) return error
  warn(error)
  return new Misconfigured('a check of the application failed')
}

/** Reports a fault that no answer to the client tells. */
export function warn(fault: unknown): void {
  emitWarning(fault instanceof Error ? fault : String(fault))
}
