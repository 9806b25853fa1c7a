/** Serves the protected resource metadata (RFC 9728 §3) for all adapters. */
import { channel } from 'node:diagnostics_channel'
import type { OutgoingHttpHeaders, ServerResponse } from 'node:http'
import { isPromise } from '../../src/adapter.js'
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

/** Sends a metadata answer, synchronously if it is already known. */
export function withMetadata<T>(answer: Awaitable<MetadataAnswer>, send: (answer: MetadataAnswer) => T): Awaitable<T> {
  return isPromise(answer) ? answer.then(send) : send(answer)
}

/**
 * Answers a request for metadata.
 *
 * @param send called at once, or for older clients soon: other code may have answered by then
 * @returns false if the request is for something else
 */
export function answeredWithMetadata<Response>(
  apis: Iterable<ResourceServer<never>>,
  request: ResourceRequest,
  response: Response,
  send: (answer: MetadataAnswer, response: Response) => void
): boolean {
  const answer = metadataAnswer(apis, request)
  if (answer === undefined) return false
  void withMetadata(answer, (known) => send(known, response))
  return true
}

/** Sends a metadata answer over `node:http`, unless other code has answered. */
export function writeMetadata({ status, headers, body }: MetadataAnswer, response: ServerResponse): void {
  if (!response.headersSent) response.writeHead(status, headers as OutgoingHttpHeaders).end(body)
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
