/** Serves the protected resource metadata (RFC 9728 §3) for all adapters. */
import { channel } from 'node:diagnostics_channel'
import {
  type Awaitable,
  type MetadataAnswer,
  Misconfigured,
  type ResourceRequest,
  type ResourceServer
} from '../../src/index.js'

/** The answer of the first server whose metadata is requested. A promise only for older clients. Never rejects. */
export function metadataAnswer(
  apis: Iterable<ResourceServer<never>>,
  request: ResourceRequest
): Awaitable<MetadataAnswer> | undefined {
  for (const { metadata } of apis) {
    const answer = metadata?.respond(request)
    if (answer) return answer
  }
  // Legacy paths come last: the root may be another server's own path.
  for (const { metadata } of apis) {
    const answer = metadata?.respondToLegacyClient(request)
    if (answer) return answer
  }
  return undefined
}

/**
 * Detects a handler that is mounted under a prefix, where it never sees the requests for it: RFC 8615 §3 requires
 * well-known paths at the root of the origin. Found when a client requests the document at the wrong path.
 *
 * @param request with the target as the mounted handler sees it
 * @throws {Misconfigured}
 */
export function requireRootMount(
  apis: readonly ResourceServer<never>[],
  request: ResourceRequest,
  prefix: string
): void {
  if (prefix === '' || prefix === '/') return
  const api = apis.find(({ metadata }) => metadata?.respond(request))
  if (api === undefined) return
  const message = `protectedResourceMetadata() is mounted under ${prefix}, but its path is at the root of the origin (RFC 8615 §3): mount it on the outermost app, without a path`
  // The application's error handler may not log the error, so it is also published as a warning.
  if (!misplaced.has(api)) warnings.publish({ resource: api.resource, issuer: '', message })
  misplaced.add(api)
  throw new Misconfigured(message)
}

const warnings = channel('oauth-resource-server:warning')

/** Servers whose warning was published. */
const misplaced = new WeakSet<object>()
