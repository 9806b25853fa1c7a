/** Any host that speaks WHATWG `Request` and `Response`. A decision is a value: an access, or the response that refuses. */
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

/** A `Request` as the core reads it. `Headers` joins repeated fields with a comma, which the core knows to look for. */
export class FetchRequest implements ResourceRequest {
  readonly #headers: Headers
  readonly #request: { readonly signal?: AbortSignal }
  readonly #connection: Connection | undefined
  readonly method: string
  readonly url: string

  /** @param connection what the request came on, where the host can tell */
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

/** Decides about a `Request`: what a handler may rely on, or the `Response` that refuses. */
export interface FetchProtection<Decision> {
  /**
   * @param connection the socket that the request came on, where client certificates or `trustedProxies` matter: a
   *   `Request` does not tell
   */
  (request: Request, connection?: Connection): Promise<Decision | Response>
  /** Header fields that belong on every answer of the route: `Vary`, where a token makes a difference but is optional. */
  readonly headers: HeaderFields
}

/**
 * Decides about requests: the {@link Access}, or the `Response` to answer with instead. On a route with `optional` or
 * `skipPreflight` also undefined, for a request let through without a token. Put the access's `responseHeaders` on the
 * answer: with DPoP nonces there is something in them.
 *
 * An error that is not this package's (of a check of yours) is rejected, for the host to make a 500 of.
 *
 * @throws {TypeError} at once, for a requirement that is none
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

/** {@link protect} and what answers errors of handlers, with bodies in the shape of the API. */
export interface FetchErrorHandler {
  readonly protect: typeof protect
  /**
   * The answer to an error that a handler threw: a refusal of `api.enforce()`, or a `Forbidden` of yours.
   *
   * @throws what is not an error of this package
   */
  readonly toResponse: (error: unknown) => Response
}

/**
 * Gives refusals a body in the shape of the API, such as {@link problemDetails}:
 * `const { protect, toResponse } = errorHandler(problemDetails)`.
 *
 * @throws {TypeError} at once, for options that are not right
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
 * The RFC 9728 metadata of these servers: the `Response` to a request for one of them, or undefined for any other request. A promise
 * only for what `legacyClients` serves, so return it from an async function, or await it.
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

/** Content codings that `fetch` undoes on every host; a list with another one it leaves as it is. */
const FETCH_DECODES: ReadonlySet<string> = new Set(['', 'gzip', 'x-gzip', 'deflate', 'br'])

/**
 * `http: { dispatcher: fetchDispatcher() }`: the authorization server is asked with the host's own `fetch`, where undici does
 * not run (Bun). Time, bytes and redirects are bounded as ever.
 *
 * Does NOT bound what connects: `publicAddressesOnly` and client certificates need undici.
 *
 * @param send default: the global `fetch`, as it is when something is asked
 */
export function fetchDispatcher(send: typeof fetch = (...exchange) => fetch(...exchange)): HttpDispatcher {
  const request = async ({ origin, path, method, headers, body, signal }: Outgoing): Promise<unknown> => {
    const response = await send(origin + path, { method, headers, body, signal, redirect: 'manual' })
    const stream = response.body ?? new Blob([]).stream()
    const fields = Object.fromEntries(response.headers)
    // `fetch` has decoded these already, and leaves the field.
    const codings = fields['content-encoding']?.toLowerCase().split(/[\s,]+/) ?? []
    if (codings.every((name) => FETCH_DECODES.has(name))) delete fields['content-encoding']
    return {
      statusCode: response.status,
      headers: fields,
      // What is not read is let go of, so that its connection is.
      body: Object.assign(stream, { destroy: () => void stream.cancel().catch(() => undefined) })
    }
  }
  return { request: request as HttpDispatcher['request'] }
}

/**
 * Hands pushed events to their receiver, `securityEventReceiver(…)` or `logoutTokenReceiver(…)`: the `Response` for the
 * sender. For a path of its own, and behind no `protect`: what is sent there has a signature, and no access token.
 *
 * The second parameter is what a host hands on beside a request. @hono/node-server hands on Node's request, which is needed to close
 * a stream of HTTP/2 after an answer that does not wait for the end of the body. Other hosts do that themselves.
 */
function mount(receiver: Receiver): (request: Request, host?: unknown) => Promise<Response> {
  return (request, host) => receiveFetch(receiver, request, host)
}

export { mount as backchannelLogout, mount as securityEvents }
