/** How adapters serve the protected resource metadata (RFC 9728 §3). */
import { channel } from 'node:diagnostics_channel'
import {
  type Awaitable,
  type MetadataAnswer,
  Misconfigured,
  type ResourceRequest,
  type ResourceServer
} from '../../src/index.js'

/** The answer of the first of these servers whose metadata is asked for; a promise only for older clients. It never rejects. */
export function metadataAnswer(
  apis: Iterable<ResourceServer<never>>,
  request: ResourceRequest
): Awaitable<MetadataAnswer> | undefined {
  for (const { metadata } of apis) {
    const answer = metadata?.respond(request)
    if (answer) return answer
  }
  // Only then: the root may be another one's own place.
  for (const { metadata } of apis) {
    const answer = metadata?.respondToLegacyClient(request)
    if (answer) return answer
  }
  return undefined
}

/**
 * Mounted under a prefix, the handler never sees the requests it is for: RFC 8615 §3 wants well-known paths at the root
 * of the origin. Found when somebody asks for the document where it would be by mistake.
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
  // Whoever answers the error need not tell it, and nobody else does.
  if (!misplaced.has(api)) warnings.publish({ resource: api.resource, issuer: '', message })
  misplaced.add(api)
  throw new Misconfigured(message)
}

const warnings = channel('oauth-resource-server:warning')

/** Of which that was told. */
const misplaced = new WeakSet<object>()
