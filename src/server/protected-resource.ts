/**
 * Protected resource metadata (RFC 9728): the document, its well-known path, and responses to requests for it. Serves
 * the resource's public encryption keys at a similar path. All values come from the settings, never from `Host` or
 * another field of the request.
 */
import { hash } from 'node:crypto'
import { andThen, isPromise } from '../base/awaitable.js'
import type { SenderSettings } from '../confirmation/settings.js'
import { ResourceServerError } from '../errors/errors.js'
import { WELL_KNOWN_AUTHORIZATION_SERVER } from '../issuer/discovery.js'
import { publicKeySet } from '../jwt/decryption-keys.js'
import type { JsonWebKeySet } from '../jwt/key-set.js'
import type { Policy } from '../policy/policy.js'
import type { Awaitable, ResourceRequest } from '../types.js'
import type { Settings } from './settings.js'

/** The response to a request for the metadata. */
export interface MetadataAnswer {
  /** 500 and 503 come only from {@link ProtectedResourceMetadata.respondToLegacyClient}. */
  readonly status: 200 | 204 | 304 | 405 | 500 | 503
  readonly headers: Readonly<Record<string, string>>
  readonly body: string | undefined
}

/** The RFC 9728 document of this API, and its location. */
export interface ProtectedResourceMetadata {
  /** Path (and query) of the document at the origin: `/.well-known/oauth-protected-resource/…`. */
  readonly path: string
  /** Absolute URL of the document, as challenges name it in `resource_metadata`. */
  readonly url: string
  /** The current document. Scopes of routes protected later are added later. */
  document(): Readonly<Record<string, unknown>>
  /** The response to GET, HEAD, OPTIONS or another method for the document or the keys; undefined for another path. */
  respond(request: ResourceRequest): MetadataAnswer | undefined
  /**
   * With `legacyClients`: the response to a request for the document at the root, or for the authorization server's
   * metadata at this origin. Undefined for another path, or without the option. Never rejects. Call `respond()` of
   * every API of the origin first.
   */
  respondToLegacyClient(request: ResourceRequest): Awaitable<MetadataAnswer> | undefined
}

export interface ProtectedResourceSettings {
  readonly resource: string
  /** Issuer identifiers, unchanged. */
  readonly authorizationServers: readonly string[]
  /** Members derived from the server's settings and its routes so far. */
  readonly derived: () => Readonly<Record<string, unknown>>
  /** Members that the user configured. They override the derived ones. */
  readonly members: Readonly<Record<string, unknown>>
  /** Public keys of this resource, served beside the document. Its `jwks_uri` points to them. */
  readonly jwks?: JsonWebKeySet | undefined
  /** Fetches the authorization server's metadata for older clients; undefined where they are not supported. */
  readonly authorizationServer?: (() => Awaitable<object>) | undefined
}

const WELL_KNOWN = '/.well-known/oauth-protected-resource'

const WELL_KNOWN_KEYS = '/.well-known/jwks.json'

/**
 * The documents are public, even for scripts of other origins: browser clients find their authorization server here.
 */
const CORS = { 'Access-Control-Allow-Origin': '*' }

/** Seconds for which clients and proxies may cache either document. */
const MAX_AGE = 3600

export function createProtectedResourceMetadata(settings: ProtectedResourceSettings): ProtectedResourceMetadata {
  const { resource, authorizationServers, derived, members, jwks } = settings
  const url = metadataUrl(resource)
  const keysUrl = wellKnownUrl(resource, WELL_KNOWN_KEYS)

  const document = (): Readonly<Record<string, unknown>> => {
    const own = jwks && { jwks_uri: keysUrl }
    const all = { resource, authorization_servers: authorizationServers, ...derived(), ...members, ...own }
    // RFC 9728 §3.2 forbids empty lists.
    return Object.fromEntries(Object.entries(all).filter(([, value]) => !(Array.isArray(value) && value.length === 0)))
  }

  const respondWithDocument = serve(url, 'application/json', document)
  const respondWithKeys = jwks && serve(keysUrl, 'application/jwk-set+json', () => jwks)
  const { origin, pathname, search } = new URL(url)
  return {
    path: pathname + search,
    url,
    document,
    respond: (request) => respondWithDocument(request) ?? respondWithKeys?.(request),
    respondToLegacyClient:
      settings.authorizationServer === undefined
        ? () => undefined
        : serveLegacyClients(origin, document, settings.authorizationServer)
  }
}

/** Serves clients that look at the origin's root for this API's metadata and for the authorization server's. */
function serveLegacyClients(
  origin: string,
  document: () => object,
  authorizationServer: () => Awaitable<object>
): ProtectedResourceMetadata['respondToLegacyClient'] {
  const respondAtRoot = serve(`${origin}${WELL_KNOWN}`, 'application/json', document)
  let found: object = {}
  const respondWithFound = serve(`${origin}${WELL_KNOWN_AUTHORIZATION_SERVER}`, 'application/json', () => found)
  return (request) => {
    const atRoot = respondAtRoot(request)
    if (atRoot) return atRoot
    if (!isForPath(request.url, WELL_KNOWN_AUTHORIZATION_SERVER, '')) return undefined
    // Answering OPTIONS or 405 needs no fetch.
    if (request.method !== 'GET' && request.method !== 'HEAD') return respondWithFound(request)
    try {
      const answer = andThen(authorizationServer(), (metadata) => {
        found = metadata
        return respondWithFound(request) as MetadataAnswer
      })
      return isPromise(answer) ? answer.catch(unavailable) : answer
    } catch (error) {
      return unavailable(error)
    }
  }
}

/** The authorization server's metadata is unavailable: 503, or 500 for a configuration error. Must not be cached. */
function unavailable(error: unknown): MetadataAnswer {
  const retryAfter = error instanceof ResourceServerError ? error.headers['Retry-After'] : undefined
  return {
    status: error instanceof ResourceServerError && error.status === 503 ? 503 : 500,
    headers: {
      ...CORS,
      'Cache-Control': 'no-store',
      'Content-Length': '0',
      ...(typeof retryAfter === 'string' && { 'Retry-After': retryAfter })
    },
    body: undefined
  }
}

/** Serves one URL with the current content. */
function serve(url: string, type: string, content: () => object): ProtectedResourceMetadata['respond'] {
  const { pathname, search } = new URL(url)
  let current: { body: string; etag: string } | undefined

  const rendered = (): { body: string; etag: string } => {
    const body = JSON.stringify(content())
    if (current?.body !== body) current = { body, etag: `"${hash('sha256', body, 'base64url').slice(0, 22)}"` }
    return current
  }

  return (request) => {
    if (!isForPath(request.url, pathname, search)) return undefined
    switch (request.method) {
      case 'GET':
      case 'HEAD': {
        const { body, etag } = rendered()
        const headers = { ...CORS, 'Cache-Control': `public, max-age=${MAX_AGE}`, ETag: etag }
        if (hasEtag(request.fieldLines('if-none-match'), etag)) return { status: 304, headers, body: undefined }
        const length = String(Buffer.byteLength(body))
        return {
          status: 200,
          headers: { ...headers, 'Content-Type': type, 'Content-Length': length },
          body: request.method === 'HEAD' ? undefined : body
        }
      }
      case 'OPTIONS':
        return { status: 204, headers: { ...CORS, ...preflight(request) }, body: undefined }
      default:
        return { status: 405, headers: { ...CORS, Allow: 'GET, HEAD, OPTIONS' }, body: undefined }
    }
  }
}

/**
 * URL of a resource's metadata: the well-known path is inserted between host and path, without a path that is only a
 * slash (RFC 9728 §3.1). Percent-encoded, so that it fits into a header field.
 */
export function metadataUrl(resource: string): string {
  return wellKnownUrl(resource, WELL_KNOWN)
}

function wellKnownUrl(resource: string, wellKnown: string): string {
  const [, origin, rest] = /^([^/]*\/\/[^/?]*)(.*)$/s.exec(resource) as unknown as [string, string, string]
  return new URL(`${origin}${wellKnown}${rest.replace(/^\/(?=$|\?)/, '')}`).href
}

/** A query is part of the location only if the resource identifier has one. */
function isForPath(url: string, pathname: string, search: string): boolean {
  if (search !== '') return url === pathname + search
  return url.startsWith(pathname) && (url.length === pathname.length || url[pathname.length] === '?')
}

function hasEtag(lines: readonly string[], etag: string): boolean {
  return lines.some((line) =>
    line.split(',').some((one) => one.trim() === '*' || one.trim().replace(/^W\//, '') === etag)
  )
}

function preflight(request: ResourceRequest): Record<string, string> {
  const asked = request.fieldLines('access-control-request-headers').join(', ')
  return {
    'Access-Control-Allow-Methods': 'GET, HEAD, OPTIONS',
    Vary: 'Access-Control-Request-Headers',
    // Only text that can be a list of field names is echoed.
    ...(/^[\w!#$%&'*+.^`|~, -]+$/.test(asked) && { 'Access-Control-Allow-Headers': asked })
  }
}

export interface ResourceMetadata {
  /** Undefined with `metadata: false`. */
  readonly metadata: ProtectedResourceMetadata | undefined
  /** Adds the scopes and authorization details types of a route's policy to the document. */
  readonly add: (policy: Policy) => void
}

/** @param authorizationServer fetches the first issuer's metadata */
export function createResourceMetadata(
  { resource, issuers, metadata, legacyClients, sender, decryptionKeys }: Settings,
  authorizationServer: () => Awaitable<object>
): ResourceMetadata {
  const scopes = new Set<string>()
  const detailsTypes = new Set<string>()
  return {
    metadata:
      metadata === false
        ? undefined
        : createProtectedResourceMetadata({
            resource,
            authorizationServers: typeof issuers === 'function' ? [] : issuers.map(({ issuer }) => issuer),
            derived: () => ({
              scopes_supported: [...scopes],
              authorization_details_types_supported: [...detailsTypes],
              ...senderMetadata(sender)
            }),
            members: metadata,
            jwks: decryptionKeys.length > 0 ? publicKeySet(decryptionKeys) : undefined,
            authorizationServer: legacyClients ? authorizationServer : undefined
          }),
    add: ({ checks }) => {
      for (const { scopes: needed = [], authorizationDetailsTypes = [] } of checks) {
        for (const scope of needed) scopes.add(scope)
        for (const type of authorizationDetailsTypes) detailsTypes.add(type)
      }
    }
  }
}

/** Metadata members about sender-constrained tokens (RFC 9728 §2). */
function senderMetadata({
  accepted,
  advertised,
  dpop,
  requireBound
}: SenderSettings): Readonly<Record<string, unknown>> {
  return {
    // Omitted without Bearer: §2 would allow an empty list, but RFC 9728 §3.2 forbids it.
    ...(accepted.includes('Bearer') && { bearer_methods_supported: ['header'] }),
    ...(advertised.includes('DPoP') && { dpop_signing_alg_values_supported: dpop.algorithms }),
    ...(requireBound === 'dpop' && { dpop_bound_access_tokens_required: true }),
    ...(requireBound === 'certificate' && { tls_client_certificate_bound_access_tokens: true })
  }
}
