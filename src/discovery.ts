/**
 * Authorization server metadata (RFC 8414; OpenID Connect Discovery 1.0 §4): where it may be, and which document may be
 * believed. `signed_metadata` is not read (RFC 8414 §2.1 leaves that open), and no algorithm named for other tokens is
 * taken to be about access tokens.
 */
import { usesClientCertificate } from './client-auth.js'
import { Misconfigured } from './errors.js'
import type { Answer, Http } from './http.js'
import type { IssuerSettings } from './issuer-settings.js'
import { isLoopback } from './problems.js'
import type { AuthorizationServerMetadata } from './types.js'

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
}

/**
 * Asks each location in turn. A 4xx, another content type or a document of another issuer means "not here"; a 5xx or
 * silence means that nothing can be known now, and ends the search (RFC 8414 §3, §5).
 *
 * @throws {Unavailable} a location did not answer
 * @throws {Misconfigured} all answered, none with this issuer's metadata
 */
export async function discover(settings: IssuerSettings, http: Http): Promise<Discovered> {
  const { issuer, label, metadataUrl } = settings
  const findings: string[] = []
  // The same places as messages name them: without a path that may be a token's.
  const labels = metadataLocations(label, metadataUrl && label !== issuer ? '`metadataUrl`' : metadataUrl)
  for (const [i, url] of metadataLocations(issuer, metadataUrl).entries()) {
    const answer = await http({ url, method: 'GET', headers: { accept: 'application/json' }, dependency: 'metadata' })
    const found = readAnswer(answer, settings)
    if (typeof found !== 'string') return { document: found, text: answer.body }
    findings.push(`${labels[i]} ${found}`)
  }
  throw new Misconfigured(
    `no metadata of the issuer ${label} was found: ${findings.join('; ')}. ` +
      (settings.tokens === 'opaque'
        ? 'Set `issuer` to exactly what the metadata names, or give `introspection.endpoint`: then no metadata is needed.'
        : 'Set `issuer` to exactly what the metadata names, or give `metadataUrl` or `jwksUri`.'),
    { received: issuer }
  )
}

/** The document, or what is wrong with it. */
function readAnswer(
  { status, contentType, body }: Answer,
  { issuer, label, expectedMetadataIssuer }: IssuerSettings
): AuthorizationServerMetadata | string {
  if (status !== 200) return `answered ${status}`
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

/**
 * An endpoint from metadata: https, or plain http on this machine where the issuer itself is plain http there. An https
 * issuer is not believed that its keys, or our client secret, may travel in clear (RFC 8414 §2, RFC 7662 §4).
 */
export function requireEndpoint(
  document: AuthorizationServerMetadata,
  name: 'jwks_uri' | 'introspection_endpoint',
  { issuer, label }: Pick<IssuerSettings, 'issuer' | 'label'>
): string {
  const value = document[name]
  const [named, option] = name === 'jwks_uri' ? ['a jwks_uri', 'jwksUri'] : [`an ${name}`, 'introspection.endpoint']
  const url = typeof value === 'string' && URL.canParse(value) ? new URL(value) : undefined
  if (!url) throw new Misconfigured(`the metadata of ${label} has no ${name}: set \`${option}\``)
  const at = new URL(issuer)
  const isLocal = url.protocol === 'http:' && at.protocol === 'http:' && isLoopback(url) && isLoopback(at)
  if (url.protocol !== 'https:' && !isLocal)
    throw new Misconfigured(`the metadata of ${label} has ${named} that is not https: set \`${option}\` to one that is`)
  return url.href
}
