/**
 * Authorization server metadata (RFC 8414 §2): which members of a document are kept, and which of its URLs may be requested.
 *
 * Tests: `test/rfc/rfc8414-discovery.test.ts`.
 */
import { isObject } from '../base/json.js'
import {
  hostAndPort,
  type InsecureHosts,
  isInsecureHost,
  isLoopback,
  NO_HOSTS,
  type Reached,
  reach
} from '../base/reach.js'
import type { Dated } from '../documents/source.js'
import { Misconfigured } from '../errors/errors.js'
import { usesClientCertificate } from './client-auth.js'
import type { IssuerSettings } from './settings.js'

/** The members of authorization server metadata that a resource server reads (RFC 8414 §2), plus other members that are strings, lists of strings or objects of strings, up to about 64 KiB. */
export interface AuthorizationServerMetadata {
  readonly issuer: string
  readonly jwks_uri?: string
  readonly introspection_endpoint?: string
  readonly [member: string]: unknown
}

/** A metadata document with the times at which it was fetched and is to be renewed. */
export interface DatedMetadata extends Dated {
  readonly document: AuthorizationServerMetadata
}

/**
 * The member with which the authorization server of `oauth-resource-server issuer` marks its metadata: `true`. An API that
 * trusts it warns the operator. It is not a registered member, and other servers ignore it.
 */
export const DEVELOPMENT_MARKER = 'oauth_resource_server_development'

/** Parses a metadata document. @returns the document, or the reason why it must not be used */
export function readMetadata(body: string, issuer: string): AuthorizationServerMetadata | string {
  let document: unknown
  try {
    document = JSON.parse(body)
  } catch {
    return 'answered with broken JSON'
  }
  if (!isObject(document)) return 'answered with JSON that is not an object'
  const named = document['issuer']
  // RFC 8414 §3.3: identical, code point by code point, or the document must not be used.
  if (typeof named !== 'string') return 'names no issuer'
  if (named !== issuer) return `names the issuer ${JSON.stringify(named.slice(0, 200))}`
  return abridged(document as AuthorizationServerMetadata)
}

/**
 * Approximate maximum of bytes kept of a document. Documents of a thousand issuers may be held at once, and a parsed
 * document can take twenty times the memory of its text.
 */
const MAX_KEPT = 64 * 1024

/** Members that this package reads. They are kept first; other members get the rest of {@link MAX_KEPT}. */
const READ = [
  'issuer',
  'jwks_uri',
  'introspection_endpoint',
  'mtls_endpoint_aliases',
  'protected_resources',
  DEVELOPMENT_MARKER
]

/** Estimated bytes that a name, a string or an element takes beyond its characters. */
const OVERHEAD = 32

/** Keeps the members in {@link READ}, and for a `ClientAuth` as many flat members as there is room for. */
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

/** A value without nesting: an object loses its nested members, and a list with nested elements becomes undefined. */
function flat(value: unknown): unknown {
  if (Array.isArray(value)) return value.some(isNested) ? undefined : value
  return isNested(value) ? Object.fromEntries(Object.entries(value).filter(([, member]) => !isNested(member))) : value
}

function isNested(value: unknown): value is object {
  return typeof value === 'object' && value !== null
}

/** Approximate bytes of memory that a kept document takes. */
export function weighMetadata(document: AuthorizationServerMetadata): number {
  return Object.entries(document).reduce((bytes, [name, value]) => bytes + weigh(name) + weigh(value), 0)
}

/** Approximate bytes of memory that a flat value takes. */
function weigh(value: unknown): number {
  if (typeof value === 'string') return OVERHEAD + 2 * value.length
  if (!isNested(value)) return OVERHEAD
  const names = Array.isArray(value) ? [] : Object.keys(value)
  return [...names, ...Object.values(value)].reduce((bytes, one) => bytes + weigh(one), OVERHEAD)
}

/**
 * The `introspection_endpoint` of the metadata. A client that authenticates by certificate uses the one in
 * `mtls_endpoint_aliases` if the metadata have it (RFC 8705 §5).
 *
 * @throws {Misconfigured} the metadata have no endpoint, or one that must not be used
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
 * The URL at which an endpoint of the metadata is requested: at `reachedAt`, if its origin is the issuer's. Any other
 * endpoint must be https, with two exceptions: plain http to a host of `http.insecureHosts`, and plain http on this
 * machine if the issuer itself is plain http there. The metadata of an https issuer cannot permit that its keys or our
 * client secret travel unencrypted (RFC 8414 §2, RFC 7662 §4).
 *
 * @throws {Misconfigured} the metadata have no such endpoint, or one that must not be used
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
    throw new Misconfigured(
      `the metadata of ${label} has ${named} that is not https: set \`${option}\` to one that is${plainHttpAdvice(url, label === issuer)}`
    )
  }
  return url.href
}

/**
 * How plain http would be allowed; empty for other schemes, which no option allows. The host of an issuer that a resolver
 * answered is left out: its metadata may be an attacker's.
 */
function plainHttpAdvice(url: URL, isFixedIssuer: boolean): string {
  if (url.protocol !== 'http:') return ''
  const host = isFixedIssuer ? `, as '${hostAndPort(url)}'` : ''
  return `, or name its host in \`http.insecureHosts\`${host} if you trust the network between`
}
