/**
 * Authorization server metadata (RFC 8414; OpenID Connect Discovery 1.0 §4): where it may be, and which document may be
 * believed. `signed_metadata` is not read (RFC 8414 §2.1 leaves that open), and no algorithm named for other tokens is
 * taken to be about access tokens.
 */

import {
  hostAndPort,
  type InsecureHosts,
  isInsecureHost,
  isLoopback,
  NO_HOSTS,
  type Reached,
  reach
} from '../base/reach.js'
import { Misconfigured, Outage, RateLimited, Unavailable } from '../errors/errors.js'
import { type Answer, describeStatus, type Http } from '../http/exchange.js'
import type { AuthorizationServerMetadata } from '../types.js'
import { usesClientCertificate } from './client-auth.js'
import type { IssuerSettings } from './settings.js'

/** Where metadata may be: RFC 8414 inserted, then OpenID Connect inserted and appended. */
function metadataLocations(issuer: string, metadataUrl: string | undefined): readonly string[] {
  if (metadataUrl !== undefined) return [metadataUrl]
  const [, origin, path] = /^([^/]*\/\/[^/]*)(.*?)\/?$/.exec(issuer) as unknown as [string, string, string]
  return [
    ...new Set([
      `${origin}/.well-known/oauth-authorization-server${path}`,
      `${origin}/.well-known/openid-configuration${path}`,
      `${origin}${path}/.well-known/openid-configuration`
    ])
  ]
}

/** Metadata that were found. */
export interface Discovered {
  readonly document: AuthorizationServerMetadata
  /** As it came. */
  readonly text: string
  /** Where it was found, as messages name it. */
  readonly place: string
}

export type DiscoverySettings = Pick<
  IssuerSettings,
  'issuer' | 'label' | 'metadataUrl' | 'expectedMetadataIssuer' | 'tokens' | 'reachedAt'
>

/** A well-known place as it is asked, and how messages name it: by the issuer, without a path that may be a token's. */
interface Place {
  readonly url: string
  readonly label: string
}

/** An answer that is not used: what was wrong, or the failure of the exchange. */
type Miss = { readonly problem: string; readonly failure?: Unavailable }
/** What a place gave; undefined while it has not answered. */
type Result = { readonly found: Discovered; readonly answer: Answer } | Miss | undefined

/** Told of each place that has answered: without a problem, where it has the document. */
export type Heard = (place: string, problem: string | undefined, answer: Answer | undefined) => void

/** Fraction of the deadline after which the next place is asked although the one before is silent. */
const HEAD_START = 0.2
/** Fraction of the deadline for which a document waits for the places that come before its own. */
const PRECEDENCE = 0.5

/**
 * Finds an issuer's metadata. The first search tries every place, within one deadline, past whatever a place answers;
 * the first place in order that has the document is the place from then on. Its later failure is an outage, never a
 * reason to believe another place (RFC 8414 §3, §5).
 *
 * @throws {Unavailable} no place has the document and one did not answer, or the known place has it no more
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
          `${result.problem}, and had the metadata before. If they have moved, restart the process, or set \`metadataUrl\``
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

/** Asks each place once the one before has no document, or has been silent for its head start. @returns what came in time */
async function search(
  places: readonly Place[],
  look: (place: Place, within: number, signal: AbortSignal) => Promise<NonNullable<Result>>,
  patience: number
): Promise<readonly Result[]> {
  const since = performance.now()
  const abandoned = new AbortController()
  const timers: NodeJS.Timeout[] = []
  const results: Result[] = places.map(() => undefined)
  const isFound = (result: Result): boolean => result !== undefined && 'found' in result
  const hasFound = (): boolean => results.some(isFound)
  let asked = 0
  let isHalfOver = false
  /** Whether no answer that may still come counts for more. */
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
        timers.push(setTimeout(goOn, patience * HEAD_START))
        look(place, patience - (performance.now() - since), abandoned.signal).then((result) => {
          results[at] = result
          if (isDecided()) resolve(results)
          else goOn()
        }, reject)
      }
      timers.push(
        setTimeout(() => {
          isHalfOver = true
          if (hasFound()) resolve(results)
        }, patience * PRECEDENCE)
      )
      ask()
    })
  } finally {
    abandoned.abort()
    for (const timer of timers) clearTimeout(timer)
  }
}

/** No place has the document: an outage where one could not be asked, else a mistake in the settings. */
function notFound(misses: readonly Miss[], { issuer, label, tokens }: DiscoverySettings): Unavailable | Misconfigured {
  const told = `no metadata of the issuer ${label} was found: ${misses.map(({ problem }) => problem).join('; ')}`
  const failures = misses.flatMap(({ failure }) => failure ?? [])
  const worst = failures.find((one) => one instanceof Outage && !(one instanceof RateLimited)) ?? failures[0]
  if (worst === undefined)
    return new Misconfigured(
      `${told}. Set \`issuer\` to exactly what the metadata names, or give ${
        tokens === 'opaque' ? '`introspection.endpoint`: then no metadata is needed.' : '`metadataUrl` or `jwksUri`.'
      }`,
      { received: issuer }
    )
  const retryAfter = Math.max(...failures.map(({ askedFor }) => askedFor))
  const Kind = worst.constructor as typeof Unavailable
  return new Kind('metadata', told, { cause: worst.cause, ...(retryAfter > 0 && { retryAfter }) })
}

/** The document, or what is wrong with it. */
function readAnswer(
  { status, contentType, body }: Answer,
  { issuer, label, expectedMetadataIssuer }: DiscoverySettings
): AuthorizationServerMetadata | string {
  if (status !== 200) return describeStatus(status)
  if (!/^application\/(?:[\w.-]+\+)?json$/.test(contentType))
    return `answered with ${contentType || 'no content type'}, not JSON`
  const read = readMetadata(body, expectedMetadataIssuer)
  // A server that serves any path may repeat it there.
  return typeof read === 'string' && label !== issuer
    ? read.replace(/^names the issuer .*$/s, 'names another issuer')
    : read
}

/** The document of a text, or what is wrong with it. */
export function readMetadata(body: string, issuer: string): AuthorizationServerMetadata | string {
  let document: unknown
  try {
    document = JSON.parse(body)
  } catch {
    return 'answered with broken JSON'
  }
  if (typeof document !== 'object' || document === null || Array.isArray(document))
    return 'answered with JSON that is no object'
  const named = (document as Record<string, unknown>)['issuer']
  // RFC 8414 §3.3: identical, code point by code point, or the document must not be used.
  if (typeof named !== 'string') return 'names no issuer'
  if (named !== issuer) return `names the issuer ${JSON.stringify(named.slice(0, 200))}`
  return abridged(document as AuthorizationServerMetadata)
}

/** Bytes, about, that are kept of a document: those of a thousand issuers are held at once, and a parsed one is twenty times its text. */
const MAX_KEPT = 64 * 1024
/** What is read here comes before what else there is room for. */
const READ = ['issuer', 'jwks_uri', 'introspection_endpoint', 'mtls_endpoint_aliases', 'protected_resources']
/** Of a name, a text, an element. */
const OVERHEAD = 32

/** What is kept: besides what is read, for a `ClientAuth`, what is no more than texts, lists of them and objects of them. */
function abridged(document: AuthorizationServerMetadata): AuthorizationServerMetadata {
  const kept: [name: string, value: unknown][] = []
  let left = MAX_KEPT
  for (const name of new Set([...READ, ...Object.keys(document)])) {
    const value = Object.hasOwn(document, name) ? flat(document[name]) : undefined
    const bytes = weigh(name) + weigh(value)
    if (value === undefined || bytes > left) continue
    left -= bytes
    kept.push([name, value])
  }
  return Object.fromEntries(kept) as unknown as AuthorizationServerMetadata
}

/** Of an object without the members that have members; a list that has such is none. */
function flat(value: unknown): unknown {
  if (Array.isArray(value)) return value.some(isNested) ? undefined : value
  return isNested(value) ? Object.fromEntries(Object.entries(value).filter(([, member]) => !isNested(member))) : value
}

function isNested(value: unknown): value is object {
  return typeof value === 'object' && value !== null
}

/** Bytes, about, that a document holds as it is kept. */
export function weighMetadata(document: AuthorizationServerMetadata): number {
  return Object.entries(document).reduce((bytes, [name, value]) => bytes + weigh(name) + weigh(value), 0)
}

/** About how many bytes a flat value holds. */
function weigh(value: unknown): number {
  if (typeof value === 'string') return OVERHEAD + 2 * value.length
  if (!isNested(value)) return OVERHEAD
  const names = Array.isArray(value) ? [] : Object.keys(value)
  return [...names, ...Object.values(value)].reduce((bytes, one) => bytes + weigh(one), OVERHEAD)
}
/**
 * `introspection_endpoint` of the metadata; for a client that shows a certificate the one of `mtls_endpoint_aliases`,
 * where that has one (RFC 8705 §5).
 */
export function requireIntrospectionEndpoint(document: AuthorizationServerMetadata, settings: IssuerSettings): string {
  const aliases = document['mtls_endpoint_aliases'] as { readonly introspection_endpoint?: string } | null | undefined
  const { introspection } = settings
  const alias = introspection && usesClientCertificate(introspection.auth) ? aliases?.introspection_endpoint : undefined
  const own = alias === undefined ? document : { issuer: settings.issuer, introspection_endpoint: alias }
  return requireEndpoint(own, 'introspection_endpoint', settings)
}

interface EndpointSettings extends Reached {
  readonly label: string
  readonly insecureHosts?: InsecureHosts
}

/**
 * An endpoint from metadata, as it is asked: at `reachedAt`, if its origin is the issuer's. Any other is https, or plain
 * http to a host of `http.insecureHosts`, or on this machine where the issuer itself is plain http there. An https issuer
 * is not believed that its keys, or our client secret, may travel in clear (RFC 8414 §2, RFC 7662 §4).
 */
export function requireEndpoint(
  document: AuthorizationServerMetadata,
  name: 'jwks_uri' | 'introspection_endpoint',
  settings: EndpointSettings
): string {
  const { issuer, label, insecureHosts = NO_HOSTS } = settings
  const value = document[name]
  const [named, option] = name === 'jwks_uri' ? ['a jwks_uri', 'jwksUri'] : [`an ${name}`, 'introspection.endpoint']
  const url = typeof value === 'string' && URL.canParse(value) ? new URL(value) : undefined
  if (!url) throw new Misconfigured(`the metadata of ${label} has no ${name}: set \`${option}\``)
  const asked = reach(url.href, settings)
  if (asked !== url.href) return asked
  const at = new URL(issuer)
  const isLocal = url.protocol === 'http:' && at.protocol === 'http:' && isLoopback(url) && isLoopback(at)
  if (url.protocol !== 'https:' && !isLocal && !isInsecureHost(url, insecureHosts)) {
    // Not of an issuer that a resolver answered, whose metadata may be an attacker's.
    const host = label === issuer && url.protocol === 'http:' ? `, as '${hostAndPort(url)}'` : ''
    throw new Misconfigured(
      `the metadata of ${label} has ${named} that is not https: set \`${option}\` to one that is, or name its host in \`http.insecureHosts\`${host} if the network between is yours`
    )
  }
  return url.href
}
