/** How a refusal is handed to a framework, and how it is answered where there is none. */
import type { IncomingMessage, ServerResponse } from 'node:http'
import { type HeaderFields, ResourceServerError } from '../../src/index.js'
import { oauthContent, type Render } from './error-body.js'
import { addHeaders, forgetContent, headersOf, mergeHeaders, setAll } from './headers.js'

/**
 * Puts a refusal's header fields on the response *and* leaves them, merged, on the error: Koa's default handler drops
 * the first, a custom handler in Express or Fastify loses the second.
 *
 * @returns what to throw, or to pass on: {@link passable}
 */
export function surface(
  error: unknown,
  existing: (name: string) => unknown,
  set: (name: string, value: string | string[]) => void
): object {
  if (!(error instanceof ResourceServerError)) return passable(error)
  const merged = mergeHeaders(error.headers, existing)
  // An outage is one error for all who wait: only what belongs to this request alone is written to it.
  if ('WWW-Authenticate' in merged) error.headers = merged
  setAll(merged, set)
  return error
}

/**
 * What every framework takes for a failure. To a callback undefined is none, and the request goes on; 'route' tells Express
 * to pass over the rest; Koa answers nothing at all. A resource server throws no such thing; what wraps one might.
 */
export function passable(error: unknown): object {
  return typeof error === 'object' && error !== null
    ? error
    : new TypeError('it failed with a value that is not an Error', { cause: error })
}

/**
 * The status of a failure, where what was thrown is no error: never one of success.
 *
 * @param begun what the response has by then
 */
export function failureStatus(thrown: unknown, begun: number): number {
  const { status, statusCode = status } = (thrown ?? {}) as { readonly status?: unknown; readonly statusCode?: unknown }
  return [statusCode, begun].find(isFailure) ?? 500
}

function isFailure(status: unknown): status is number {
  return Number.isInteger(status) && (status as number) >= 400 && (status as number) <= 599
}

/** The body of an answer, empty where it has none, and the fields about it. */
export function contentOf(
  error: ResourceServerError,
  render: Render = oauthContent
): { readonly body: string; readonly fields: HeaderFields } {
  const { body, type } = render(error)
  const fields = { 'Content-Length': String(Buffer.byteLength(body)) }
  return { body, fields: type === undefined ? fields : { ...fields, 'Content-Type': type } }
}

/** Answers with an error, in place of whatever a handler had begun to say. */
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
