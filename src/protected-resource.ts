/**
 * Protected resource metadata (RFC 9728): the document, its well-known place, and the answer to a request for it.
 * Everything comes from the settings; nothing from `Host` or any other field of the request.
 */
import { hash } from 'node:crypto'
import type { ResourceRequest } from './types.js'

/** The answer to a request for the metadata. */
export interface MetadataAnswer {
  readonly status: 200 | 204 | 304 | 405
  readonly headers: Readonly<Record<string, string>>
  readonly body: string | undefined
}

export interface ProtectedResourceMetadata {
  /** Path (and query) of the document at the origin: `/.well-known/oauth-protected-resource/…`. */
  readonly path: string
  /** Absolute URL of the document, as challenges name it in `resource_metadata`. */
  readonly url: string
  /** The document as it is now: scopes of routes protected later are added later. */
  document(): Readonly<Record<string, unknown>>
  /** The answer to GET, HEAD, OPTIONS or another method, or undefined if the request is for another path. */
  respond(request: ResourceRequest): MetadataAnswer | undefined
}

export interface ProtectedResourceSettings {
  readonly resource: string
  /** Issuer identifiers, verbatim. */
  readonly authorizationServers: readonly string[]
  /** The scopes that routes require, as known now. */
  readonly scopes: () => readonly string[]
  /** Members of the user's. */
  readonly members: Readonly<Record<string, unknown>>
}

const WELL_KNOWN = '/.well-known/oauth-protected-resource'
/** Seconds a cache may keep the document. */
const MAX_AGE = 3600

export function createProtectedResourceMetadata(settings: ProtectedResourceSettings): ProtectedResourceMetadata {
  const url = metadataUrl(settings.resource)
  const { pathname, search } = new URL(url)
  const path = pathname + search
  let current: { scopes: string; body: string; etag: string } | undefined

  const document = (): Readonly<Record<string, unknown>> => {
    const { resource, authorizationServers, scopes, members } = settings
    const all = {
      resource,
      authorization_servers: authorizationServers,
      scopes_supported: scopes(),
      bearer_methods_supported: ['header'],
      ...members
    }
    // An empty list says nothing, and RFC 9728 §3.2 forbids it.
    return Object.fromEntries(Object.entries(all).filter(([, value]) => !(Array.isArray(value) && value.length === 0)))
  }

  const rendered = (): { body: string; etag: string } => {
    const scopes = settings.scopes().join(' ')
    if (current?.scopes !== scopes) {
      const body = JSON.stringify(document())
      current = { scopes, body, etag: `"${hash('sha256', body, 'base64url').slice(0, 22)}"` }
    }
    return current as { body: string; etag: string }
  }

  return {
    path,
    url,
    document,
    respond: (request) => {
      if (!isForPath(request.url, pathname, search)) return undefined
      // Public, and for scripts of any origin: a browser client finds its authorization server here.
      const cors = { 'Access-Control-Allow-Origin': '*' }
      switch (request.method) {
        case 'GET':
        case 'HEAD': {
          const { body, etag } = rendered()
          const headers = { ...cors, 'Cache-Control': `public, max-age=${MAX_AGE}`, ETag: etag }
          if (hasEtag(request.fieldLines('if-none-match'), etag)) return { status: 304, headers, body: undefined }
          const length = String(Buffer.byteLength(body))
          return {
            status: 200,
            headers: { ...headers, 'Content-Type': 'application/json', 'Content-Length': length },
            body: request.method === 'HEAD' ? undefined : body
          }
        }
        case 'OPTIONS':
          return { status: 204, headers: { ...cors, ...preflight(request) }, body: undefined }
        default:
          return { status: 405, headers: { ...cors, Allow: 'GET, HEAD, OPTIONS' }, body: undefined }
      }
    }
  }
}

/**
 * Where a resource's metadata is: the well-known path inserted between host and path, after removing a slash that is
 * all the path there is (RFC 9728 §3.1). Percent-encoded, so that it fits a header field.
 */
export function metadataUrl(resource: string): string {
  const [, origin, rest] = /^([^/]*\/\/[^/?]*)(.*)$/.exec(resource) as unknown as [string, string, string]
  return new URL(`${origin}${WELL_KNOWN}${rest.replace(/^\/(?=$|\?)/, '')}`).href
}

/** A query is part of the place only where the resource identifier has one. */
function isForPath(url: string, pathname: string, search: string): boolean {
  if (search !== '') return url === pathname + search
  const query = url.indexOf('?')
  return (query < 0 ? url : url.slice(0, query)) === pathname
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
    // Only what can be a list of field names goes back.
    ...(/^[\w!#$%&'*+.^`|~, -]+$/.test(asked) && { 'Access-Control-Allow-Headers': asked })
  }
}
