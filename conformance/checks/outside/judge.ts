/**
 * Shared by the outside checks: sources, requests with credentials, and judgements on answers.
 *
 * Tests: `test/conformance/checks.test.ts`.
 */
import type { CheckContext, Finding, Source, WireRequest, WireResponse } from '../../check.js'

/** A section of an RFC. @param section for example `3.1` */
export function rfc(number: number, section: string, quote: string): Source {
  return {
    name: `RFC ${number}`,
    section: `§${section}`,
    url: `https://www.rfc-editor.org/rfc/rfc${number}.html#section-${section}`,
    quote
  }
}

/** A request with `Authorization` lines. */
export function authorized(...values: readonly string[]): WireRequest {
  return { fields: values.map((value) => ['Authorization', value] as const) }
}

/** A token that no server has issued: opaque, and 43 characters of `token68`. */
export const UNKNOWN = 'conformance-suite-token-that-nobody-issued0'

/** base64url of JSON, for tokens that look like a JWT. */
export const part = (value: unknown): string => Buffer.from(JSON.stringify(value)).toString('base64url')

/** The status, and the challenge if there is one. */
export function told({ status, fields }: WireResponse): string {
  const lines = fields.filter(([name]) => name === 'www-authenticate').map(([, value]) => value.slice(0, 160))
  return lines.length === 0 ? `status ${status}` : `status ${status} with WWW-Authenticate: ${lines.join(' | ')}`
}

/** No text forbids an API to hide a route: 404 in place of 401 or 403 (RFC 9110 §15.5.4) is advice. */
export function hiddenLevel({ status }: Pick<WireResponse, 'status'>): Pick<Finding, 'level'> {
  return status === 404 ? { level: 'hardening' } : {}
}

/** Fails unless the answer is a refusal: 4xx. A server error or a redirect is neither a yes nor a refusal. */
export function refuses({ fail }: Pick<CheckContext, 'fail'>, response: WireResponse, what: string): void {
  const { status } = response
  if (status >= 400 && status < 500) return
  fail({
    expected: `${what} is refused with a status from 400 to 499.`,
    received: `The API answers ${told(response)}.`,
    change:
      status >= 500
        ? 'Treat credentials as input: refuse those that cannot be read with 401, and do not let the reader throw.'
        : 'Check the token before anything else on this route, and answer 401.'
  })
}

/** The answer to an unknown token. A check on its challenge does not apply if the API does not challenge. */
export async function refusalOfUnknown({ send }: CheckContext): Promise<WireResponse> {
  return send({ token: UNKNOWN })
}

/** The answers to a request without a token, and to a request with an unknown token. */
export async function refusalsOf(context: CheckContext): Promise<readonly WireResponse[]> {
  return [context.probe, await refusalOfUnknown(context)]
}
