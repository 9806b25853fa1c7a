/** Authorization server metadata (RFC 8414 §2): what is kept of a document, and which of its URLs may be asked. */
import {
  hostAndPort,
  type InsecureHosts,
  isInsecureHost,
  isLoopback,
  NO_HOSTS,
  type Reached,
  reach
} from '../base/reach.js'
import { Misconfigured } from '../errors/errors.js'
import { usesClientCertificate } from './client-auth.js'
import type { IssuerSettings } from './settings.js'

/** The members of authorization server metadata that a resource server reads (RFC 8414 §2), plus others that are texts, lists of texts or objects of texts, up to about 64 KiB. */
export interface AuthorizationServerMetadata {
  readonly issuer: string
  readonly jwks_uri?: string
  readonly introspection_endpoint?: string
  readonly [member: string]: unknown
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
    return 'answered with JSON that is not an object'
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
