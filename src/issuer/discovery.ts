/**
 * Discovery of authorization server metadata (RFC 8414; OpenID Connect Discovery 1.0 §4): at which URLs a document may be,
 * and which document is trusted.
 *
 * Does NOT read `signed_metadata`, which RFC 8414 §2.1 makes optional. Does NOT apply to access tokens the algorithms that
 * the metadata name for other tokens.
 *
 * Tests: `test/rfc/rfc8414-discovery.test.ts`.
 */

import { reach } from '../base/reach.js'
import { type Timer, world } from '../base/world.js'
import { Misconfigured, Unavailable } from '../errors/errors.js'
import { type Answer, describeStatus, type Http } from '../http/exchange.js'
import type { AuthorizationServerMetadata } from './metadata.js'
import { readMetadata } from './metadata.js'
import type { IssuerSettings } from './settings.js'

/** Where the metadata of an authorization server is, before the path of its identifier (RFC 8414 §3). */
export const WELL_KNOWN_AUTHORIZATION_SERVER = '/.well-known/oauth-authorization-server'

/** URLs where metadata may be: RFC 8414's path inserted, then OpenID Connect's inserted, then appended. */
function metadataLocations(issuer: string, metadataUrl: string | undefined): readonly string[] {
  if (metadataUrl !== undefined) return [metadataUrl]
  const [, origin, path] = /^([^/]*\/\/[^/]*)(.*?)\/?$/.exec(issuer) as unknown as [string, string, string]
  return [
    ...new Set([
      `${origin}${WELL_KNOWN_AUTHORIZATION_SERVER}${path}`,
      `${origin}/.well-known/openid-configuration${path}`,
      `${origin}${path}/.well-known/openid-configuration`
    ])
  ]
}

/** Metadata that discovery found. */
export interface Discovered {
  readonly document: AuthorizationServerMetadata
  /** The unparsed body. */
  readonly text: string
  /** The URL of the document, as messages name it. */
  readonly place: string
}

export type DiscoverySettings = Pick<
  IssuerSettings,
  'issuer' | 'label' | 'metadataUrl' | 'expectedMetadataIssuer' | 'tokens' | 'reachedAt'
>

/**
 * A URL that is requested, and its name in messages. The name has no path if a resolver answered the issuer: the path may
 * come from a token.
 */
interface Place {
  readonly url: string
  readonly label: string
}

/** The reason why an answer is not used, and the failure if the exchange failed. */
type Miss = { readonly problem: string; readonly failure?: Unavailable }

/** The result at a place; undefined until it answers. */
type Result = { readonly found: Discovered; readonly answer: Answer } | Miss | undefined

/** Called for each place that answered or failed. `problem` is undefined if the place has the document. */
export type Heard = (place: string, problem: string | undefined, answer: Answer | undefined) => void

/** Fraction of the deadline after which the next place is requested although the previous one has not answered. */
const HEAD_START = 0.2

/** Fraction of the deadline after which a document that was found is used although earlier places have not answered. */
const PRECEDENCE = 0.5

/**
 * Finds an issuer's metadata. The first search tries every place within one deadline, whatever the places answer. The
 * first place in order that has the document is the only one requested from then on. If it fails later, that is an outage
 * and never a reason to trust another place (RFC 8414 §3, §5).
 *
 * @throws {Unavailable} no place has the document and one did not answer, or the known place no longer has it
 * @throws {Misconfigured} every place answered, none with this issuer's metadata
 */
export function createDiscovery(
  settings: DiscoverySettings,
  http: Http,
  heard: Heard = () => undefined
): () => Promise<Discovered> {
  const { issuer, label, metadataUrl } = settings
  const labels = metadataLocations(label, metadataUrl && label !== issuer ? '`metadataUrl`' : metadataUrl)
  const places = metadataLocations(issuer, metadataUrl).map((url, i) => {
    const asked = metadataUrl === undefined ? reach(url, settings) : url
    const at = asked === url || label !== issuer ? '' : ` (asked at ${new URL(asked).origin})`
    return { url: asked, label: labels[i] + at }
  })
  let known: Place | undefined

  const look = async (place: Place, within: number, signal?: AbortSignal): Promise<NonNullable<Result>> => {
    try {
      const headers = { accept: 'application/json' }
      const answer = await http({
        url: place.url,
        label: place.label,
        method: 'GET',
        headers,
        dependency: 'metadata',
        within,
        ...(signal && { signal })
      })
      const read = readAnswer(answer, settings)
      heard(place.label, typeof read === 'string' ? read : undefined, answer)
      if (typeof read === 'string') return { problem: `${place.label} ${read}` }
      return { found: { document: read, text: answer.body, place: place.label }, answer }
    } catch (failure) {
      if (!(failure instanceof Unavailable)) throw failure
      heard(place.label, failure.problem.slice(place.label.length + 1), undefined)
      return { problem: failure.problem, failure }
    }
  }

  return async () => {
    if (known) {
      const result = await look(known, http.patience)
      if ('found' in result) return result.found
      throw (
        result.failure ??
        new Unavailable(
          'metadata',
          `${result.problem}, although it had the metadata before. If the metadata moved, restart the process, or set \`metadataUrl\``
        )
      )
    }
    const results = await search(places, look, http.patience)
    const at = results.findIndex((result) => result && 'found' in result)
    const first = results[at]
    if (first && 'found' in first) {
      known = places[at]
      return first.found
    }
    throw notFound(results as readonly Miss[], settings)
  }
}

/**
 * Requests each place as soon as the previous one turned out to have no document, or has not answered within
 * {@link HEAD_START}. @returns the results that came in time
 */
async function search(
  places: readonly Place[],
  look: (place: Place, within: number, signal: AbortSignal) => Promise<NonNullable<Result>>,
  patience: number
): Promise<readonly Result[]> {
  const since = world.monotonic()
  const abandoned = new AbortController()
  const timers: Timer[] = []
  const results: Result[] = places.map(() => undefined)
  const isFound = (result: Result): boolean => result !== undefined && 'found' in result
  const hasFound = (): boolean => results.some(isFound)
  let asked = 0
  let isHalfOver = false
  /** True if no answer that is still to come takes precedence. */
  const isDecided = (): boolean => {
    const at = results.findIndex((result) => result === undefined || isFound(result))
    return at < 0 || isFound(results[at]) || (isHalfOver && hasFound())
  }
  try {
    return await new Promise((resolve, reject) => {
      const ask = (): void => {
        const at = asked++
        const place = places[at]
        if (place === undefined || hasFound()) return
        const goOn = (): void => {
          if (asked === at + 1) ask()
        }
        timers.push(world.after(patience * HEAD_START, goOn))
        look(place, patience - (world.monotonic() - since), abandoned.signal).then((result) => {
          results[at] = result
          if (isDecided()) resolve(results)
          else goOn()
        }, reject)
      }
      timers.push(
        world.after(patience * PRECEDENCE, () => {
          isHalfOver = true
          if (hasFound()) resolve(results)
        })
      )
      ask()
    })
  } finally {
    abandoned.abort()
    for (const timer of timers) world.cancel(timer)
  }
}

/**
 * The error if no place has the document: an outage if a place could not be reached, otherwise a mistake in the
 * settings.
 */
function notFound(misses: readonly Miss[], { issuer, label, tokens }: DiscoverySettings): Unavailable | Misconfigured {
  const told = `no metadata of the issuer ${label} was found: ${misses.map(({ problem }) => problem).join('; ')}`
  const failures = misses.flatMap(({ failure }) => failure ?? [])
  const worst = failures.find(({ failureKind }) => failureKind === 'down') ?? failures[0]
  if (worst === undefined)
    return new Misconfigured(
      `${told}. Set \`issuer\` to exactly the \`issuer\` of the metadata, or give ${
        tokens === 'opaque' ? '`introspection.endpoint`: then no metadata is needed.' : '`metadataUrl` or `jwksUri`.'
      }`,
      { received: issuer }
    )
  const retryAfter = Math.max(...failures.map(({ askedFor }) => askedFor))
  const { cause, failureKind } = worst
  return new Unavailable('metadata', told, { cause, failureKind, ...(retryAfter > 0 && { retryAfter }) })
}

/** @returns the document, or the reason why it must not be used */
function readAnswer(
  { status, contentType, body }: Answer,
  { issuer, label, expectedMetadataIssuer }: DiscoverySettings
): AuthorizationServerMetadata | string {
  if (status !== 200) return describeStatus(status)
  if (!/^application\/(?:[\w.-]+\+)?json$/.test(contentType))
    return `answered with ${contentType || 'no content type'}, not JSON`
  const read = readMetadata(body, expectedMetadataIssuer)
  // A server that answers any path may repeat the path as the issuer, and the path may come from a token.
  return typeof read === 'string' && label !== issuer
    ? read.replace(/^names the issuer .*$/s, 'names another issuer')
    : read
}
