/**
 * Writes a request as a curl command for the report. Tokens are shortened, so that a report can be published.
 *
 * Tests: `test/conformance/wire.test.ts`.
 */
import type { WireRequest } from '../check.js'
import { targetOf } from './wire.js'

/** Longest run of token characters that is printed in full. */
const MAX_RUN = 24
const RUN = new RegExp(`[A-Za-z0-9._~+/=%-]{${MAX_RUN + 1},}`, 'g')
/** Maximum characters of any value: a check may send kilobytes. */
const MAX_VALUE = 300

/** Replaces all but the first characters of a token. Paths and words have no such runs, or keep their beginning. */
export function shortened(text: string): string {
  const short = text.replace(RUN, (run) => `${run.slice(0, 10)}…(${run.length} characters)`)
  return short.length > MAX_VALUE ? `${short.slice(0, MAX_VALUE)}…` : short
}

/** A command that sends the same request, but for shortened tokens. */
export function curlOf(request: WireRequest, url: URL): string {
  const target = targetOf(request, url)
  const isPlain = target.startsWith('/') && !/^\/\/|\/\.|%2e/i.test(target)
  const parts = ['curl -i']
  const method = request.method ?? 'GET'
  if (method === 'HEAD') parts.push('--head')
  else if (method !== 'GET') parts.push(`-X ${method}`)
  if (request.maxTls !== undefined) parts.push(`--tls-max ${request.maxTls.replace('TLSv', '')}`)
  if (request.certificate !== undefined) parts.push('--cert client.pem --key client-key.pem')
  if (!isPlain) parts.push('--path-as-is', `--request-target ${quoted(shortenedQuery(target))}`)
  for (const [name, value] of request.fields ?? []) parts.push(`-H ${quoted(`${name}: ${shortened(value)}`)}`)
  if (request.body !== undefined) parts.push(`--data-raw ${quoted(shortened(request.body))}`)
  parts.push(quoted(isPlain ? `${url.origin}${shortenedQuery(target)}` : url.origin))
  return parts.join(' ')
}

function shortenedQuery(target: string): string {
  const at = target.indexOf('?')
  return at === -1 ? target.slice(0, MAX_VALUE) : `${target.slice(0, at)}?${shortened(target.slice(at + 1))}`
}

/** For a POSIX shell. Octets that a terminal would interpret are escaped. */
function quoted(text: string): string {
  const isSafe = !/[\p{Cc}\p{Bidi_Control}]/u.test(text)
  if (isSafe) return `'${text.replaceAll("'", "'\\''")}'`
  return `$'${text.replace(/[\\']/g, '\\$&').replace(/[\p{Cc}\p{Bidi_Control}]/gu, (one) => `\\u${one.charCodeAt(0).toString(16).padStart(4, '0')}`)}'`
}
