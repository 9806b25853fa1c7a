/** Hosts with WHATWG `Request` and `Response`. A decision is a value: an access, or the response that refuses. */
import {
  type Granted,
  type HeaderFields,
  type HttpDispatcher,
  type Receiver,
  type Requirement,
  type ResourceRequest,
  type ResourceServer,
  ResourceServerError
} from '../src/index.js'
import { createRender, type ErrorBodyOptions, oauthContent, type Render, responseOf } from './shared/error-body.js'
import { metadataAnswer } from './shared/metadata.js'
import { type Connection, withMetadata } from './shared/node-request.js'
import { receiveFetch } from './shared/receive.js'

export { type ErrorBodyOptions, type ErrorFacts, problemDetails } from './shared/error-body.js'
export type { Connection } from './shared/node-request.js'

/** A `Request` as the core reads it. `Headers` joins repeated fields with a comma; the core detects that. */
export class FetchRequest implements ResourceRequest {
  readonly #headers: Headers
  readonly #request: { readonly signal?: AbortSignal }
  readonly #connection: Connection | undefined
  readonly method: string
  readonly url: string

  /** @param connection the request's connection, if the host exposes it */
  constructor(
    request: Pick<Request, 'method' | 'url' | 'headers'> & { readonly signal?: AbortSignal },
    connection?: Connection
  ) {
    this.#headers = request.headers
    this.#request = request
    this.#connection = connection
    this.method = request.method
    const { pathname, search } = new URL(request.url)
    this.url = pathname + search
  }

  fieldLines(name: string): readonly string[] {
    const value = this.#headers.get(name)
    return value === null ? [] : [value]
  }

  certificate(): Uint8Array | undefined {
    return this.#connection?.getPeerX509Certificate?.()?.raw
  }

  get peerAddress(): string | undefined {
    return this.#connection?.remoteAddress
  }

  onGone(listener: () => void): () => void {
    const { signal } = this.#request
    if (signal?.aborted) listener()
    signal?.addEventListener('abort', listener, { once: true })
    return () => signal?.removeEventListener('abort', listener)
  }
}

/** Decides one `Request`: returns the access, or the `Response` that refuses. */
export interface FetchProtection<Decision> {
  /**
   * @param connection the request's socket, needed for client certificates or `trustedProxies`: a `Request` does not
   * expose it
   */
  (request: Request, connection?: Connection): Promise<Decision | Response>
  /** Header fields for every response of the route: `Vary`, where a token is optional. */
  readonly headers: HeaderFields
}

/**
 * Decides requests: returns the {@link Access}, or the `Response` to send instead. On a route with `optional` or
 * `skipPreflight` it returns undefined for a request without a token. Copy the access's `responseHeaders` to your
 * response: with DPoP nonces they are not empty.
 *
 * Errors that are not this package's (from your own check) are rejected, for the host to answer with 500.
 *
 * @throws {TypeError} at once, for an invalid requirement
 */
export function protect<
  Scope extends string,
  Role extends string,
  const R extends readonly Requirement<NoInfer<Scope>, NoInfer<Role>>[]
>(api: ResourceServer<Scope, Role>, ...requirements: R): FetchProtection<Granted<R>> {
  return createGuard(api, requirements, oauthContent)
}

function createGuard<
  Scope extends string,
  Role extends string,
  const R extends readonly Requirement<NoInfer<Scope>, NoInfer<Role>>[]
>(api: ResourceServer<Scope, Role>, requirements: R, render: Render): FetchProtection<Granted<R>> {
  const protection = api.protect(...requirements)
  const decide = async (request: Request, connection?: Connection): Promise<Granted<R> | Response> => {
    try {
      return await protection.authorize(new FetchRequest(request, connection))
    } catch (error) {
      if (error instanceof ResourceServerError) return responseOf(error, render)
      throw error
    }
  }
  return Object.assign(decide, { headers: protection.headers })
}

/**
 * {@link protect} and a function that answers errors of handlers, with bodies in the shape of the API.
 */
export interface FetchErrorHandler {
  readonly protect: typeof protect
  /**
   * The response to an error that a handler threw: a refusal of `api.enforce()`, or your own `Forbidden`.
   *
   * @throws errors that are not this package's
   */
  readonly toResponse: (error: unknown) => Response
}

/**
 * Gives refusals a body in the shape of the API, such as {@link problemDetails}: `const { protect, toResponse } =
 * errorHandler(problemDetails)`.
 *
 * @throws {TypeError} at once, for invalid options
 */
export function errorHandler(options: ErrorBodyOptions): FetchErrorHandler {
  const render = createRender(options ?? {})
  return {
    protect: (api, ...requirements) => createGuard(api, requirements, render),
    toResponse: (error) => {
      if (error instanceof ResourceServerError) return responseOf(error, render)
      throw error
    }
  }
}

/**
 * Serves the RFC 9728 metadata of these servers. Returns the `Response` to a request for one of them, or undefined for
 * any other request. `legacyClients` may cause a promise, so return it from an async function, or await it.
 */
export function protectedResourceMetadata(
  ...apis: readonly ResourceServer<never>[]
): (request: Request) => Response | Promise<Response> | undefined {
  return (request) => {
    const answer = metadataAnswer(apis, new FetchRequest(request))
    return (
      answer && withMetadata(answer, ({ status, headers, body }) => new Response(body ?? null, { status, headers }))
    )
  }
}

interface Outgoing {
  readonly origin: string
  readonly path: string
  readonly method: string
  readonly headers: Readonly<Record<string, string>>
  readonly body: string | null
  readonly signal: AbortSignal
}

/** Content codings that `fetch` decodes on every host. A list with any other coding stays encoded. */
const FETCH_DECODES: ReadonlySet<string> = new Set(['', 'gzip', 'x-gzip', 'deflate', 'br'])

/**
 * `http: { dispatcher: fetchDispatcher() }` sends requests to the authorization server with the host's own `fetch`,
 * where undici does not run (Bun). Limits of time, bytes and redirects still apply.
 *
 * Does NOT control connections: `publicAddressesOnly` and client certificates need undici.
 *
 * @param send default: the global `fetch`, read for each request
 */
export function fetchDispatcher(send: typeof fetch = (...exchange) => fetch(...exchange)): HttpDispatcher {
  const request = async ({ origin, path, method, headers, body, signal }: Outgoing): Promise<unknown> => {
    const response = await send(origin + path, { method, headers, body, signal, redirect: 'manual' })
    const stream = response.body ?? new Blob([]).stream()
    const fields = Object.fromEntries(response.headers)
    // `fetch` has already decoded these, but keeps the field.
    const codings = fields['content-encoding']?.toLowerCase().split(/[\s,]+/) ?? []
    if (codings.every((name) => FETCH_DECODES.has(name))) delete fields['content-encoding']
    return {
      statusCode: response.status,
      headers: fields,
      // Cancelling an unread body releases its connection.
      body: Object.assign(stream, { destroy: () => void stream.cancel().catch(() => undefined) })
    }
  }
  return { request: request as HttpDispatcher['request'] }
}

/**
 * Passes pushed events to their receiver, `securityEventReceiver(…)` or `logoutTokenReceiver(…)`, and returns the
 * `Response` for the sender. Use it on its own path, without `protect`: events are signed and carry no access token.
 *
 * The second parameter is the value that a host passes besides the request. @hono/node-server passes Node's request,
 * which is needed to close an HTTP/2 stream after a response that does not wait for the end of the body. Other hosts
 * close it themselves.
 */
function mount(receiver: Receiver): (request: Request, host?: unknown) => Promise<Response> {
  return (request, host) => receiveFetch(receiver, request, host)
}

export { mount as backchannelLogout, mount as securityEvents }
