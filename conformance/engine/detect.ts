/**
 * Asks the API once without a token, and reads its metadata document (RFC 9728): what many checks judge, and how the suite
 * knows which features the API has.
 *
 * Does NOT send a request to another origin: a metadata URL elsewhere is left to the reader of the report.
 *
 * Tests: `test/conformance/run.test.ts`.
 */
import { challengesOf, fieldOf, parameterOf } from '../challenge.js'
import type { Metadata, WireRequest, WireResponse } from '../check.js'
import { RunProblem } from './select.js'
import { NoAnswer } from './wire.js'

type Send = (request?: WireRequest) => Promise<WireResponse>

/** RFC 9728 §3.1: the well-known string is inserted between the host and the path; a slash after the host goes. */
export function metadataUrlOf(resource: URL): URL {
  const path = resource.pathname === '/' ? '' : resource.pathname
  return new URL(`/.well-known/oauth-protected-resource${path}${resource.search}`, resource)
}

/** Status codes of a route that is hidden from clients without a token (RFC 9110 §15.5.4), and of one that does not exist. */
export const HIDDEN: readonly number[] = [404, 410]

/**
 * @param mayHide  the run has good tokens, which tell whether the route exists
 * @throws {RunProblem} no answer, or an answer that says that there is nothing to check at this URL
 */
export async function probe(url: URL, send: Send, mayHide: boolean): Promise<WireResponse> {
  let response: WireResponse
  try {
    response = await send()
  } catch (error) {
    throw error instanceof NoAnswer ? new RunProblem(adviceOf(error, url), { cause: error }) : error
  }
  if (HIDDEN.includes(response.status) && !mayHide)
    throw new RunProblem(
      `${url.href} answers ${response.status} to GET without a token. Give the URL of a route that exists and needs a token.`
    )
  if (response.status === 429)
    throw new RunProblem(
      `${url.origin} answers 429, however long the suite waits. Raise its limit for this client, and run again.`
    )
  return response
}

/** The place to which an answer redirects, without its query. Undefined if it does not. */
export function redirectOf(response: Pick<WireResponse, 'status' | 'fields'>): string | undefined {
  if (response.status < 300 || response.status > 399) return undefined
  return fieldOf(response, 'location')?.split(/[?#]/)[0]
}

const UNTRUSTED = /CERT|SELF_SIGNED|UNABLE_TO_(?:GET|VERIFY)|ISSUER/
const NOT_TLS: readonly string[] = ['EPROTO', 'ERR_SSL_WRONG_VERSION_NUMBER']

/** True if the next request would fail in the same way. */
export function isLasting({ code }: NoAnswer): boolean {
  return UNTRUSTED.test(code) || NOT_TLS.includes(code)
}

/** One sentence on what happened, and one on what to do. */
export function adviceOf({ code, message }: NoAnswer, url: URL): string {
  if (UNTRUSTED.test(code))
    return `The certificate of ${url.host} is not trusted (${code}). Give the certificate of its authority: --ca FILE.`
  if (code === 'ENOTFOUND' || code === 'EAI_AGAIN')
    return `${url.hostname} is not a known host (${code}). Check the URL.`
  if (NOT_TLS.includes(code))
    return `${url.host} does not speak TLS (${code}). Begin the URL with http:// if the API is on this machine.`
  if (code === 'HPE_HEADER_OVERFLOW')
    return `${url.origin} answers with more header fields than 16 KiB (${code}). Give the URL of an API whose answers have fewer.`
  if (code.startsWith('HPE_'))
    return `${url.origin} answers, but not by HTTP (${code}). Check the port, and begin the URL with https:// if the API speaks TLS.`
  if (code === 'ECONNRESET')
    return `${url.origin} closes the connection without an answer (${code}). Check the port, begin the URL with https:// if the API speaks TLS, and look into its log.`
  return `${url.origin} does not answer (${code}: ${message}). Start the API, and check the host and port.`
}

/** The document that the challenge names, or else the one at a well-known place, or where the string is appended to the path. */
export async function findMetadata(url: URL, first: WireResponse, send: Send): Promise<Metadata | undefined> {
  const named = challengesOf(first)
    .challenges.map((one) => parameterOf(one, 'resource_metadata'))
    .find((value) => value !== undefined && URL.canParse(value))
  const candidates = [
    ...(named === undefined ? [] : [{ place: new URL(named), isNamed: true }]),
    { place: metadataUrlOf(url), isNamed: false },
    { place: metadataUrlOf(new URL('/', url)), isNamed: false },
    // Not a place of RFC 9728, but servers that append the string are common: the checks say where the document belongs.
    {
      place: new URL(`${url.pathname.replace(/\/$/, '')}/.well-known/oauth-protected-resource`, url),
      isNamed: false
    }
  ].filter(({ place }) => place.origin === url.origin)
  for (const { place, isNamed } of candidates) {
    const response = await send({ target: `${place.pathname}${place.search}` })
    const document = objectOf(response.body)
    // A named document counts even if it is broken: the checks say how. Elsewhere a 200 may be a page for people.
    if (isNamed || (response.status === 200 && document?.['resource'] !== undefined))
      return { url: place, isNamed, response, document }
  }
  return undefined
}

/** A JSON object, or undefined. */
export function objectOf(text: string): Record<string, unknown> | undefined {
  try {
    const value: unknown = JSON.parse(text)
    return typeof value === 'object' && value !== null && !Array.isArray(value)
      ? (value as Record<string, unknown>)
      : undefined
  } catch {
    return undefined
  }
}
