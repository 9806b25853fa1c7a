/** A request of `node:http` as the core reads it. Shared by the adapters over `node:http`. */
import type { IncomingMessage } from 'node:http'
import type { ResourceRequest } from '../../src/index.js'
import { type Closing, type Connection, onClose } from './connection.js'

/**
 * Properties in which Express, Fastify and @koa/router (in this order) store the matched route's pattern, and the
 * request's identifier.
 */
interface Routed {
  readonly route?: { readonly path?: unknown } | undefined
  readonly baseUrl?: string | undefined
  readonly routeOptions?: { readonly url?: string | undefined } | undefined
  readonly _matchedRoute?: unknown
  /** Set by Fastify, and on Express by middleware such as pino-http. */
  readonly id?: unknown
}

/** `GET http://host/path`: servers must accept it (RFC 9112 §3.2.2), but its host is not trusted. */
const ABSOLUTE_FORM = /^https?:\/\/[^/?#]*/i

const BODY_READ =
  'The body of a request was read before `protect` decided, so bodies of refused requests are read too. Mount `protect` before the body parser; on Fastify use it in `onRequest`.'

/** Header fields by lower-case name, as in `IncomingMessage.headers`. */
export type HeadersByName = Readonly<Record<string, string | readonly string[] | undefined>>

/**
 * A request of `node:http`, of the HTTP/2 compatibility API, or of a host that imitates one (AWS Lambda, test mocks).
 *
 * Reads `rawHeaders` and `headers`. Only `rawHeaders` contains both of two `Authorization` lines, so two lines are
 * always reported as two. Otherwise `headers` decides, because the application's middleware sets and deletes fields
 * there. Where `rawHeaders` is empty or missing, only `headers` is read, and its names may be in any case.
 */
export class NodeRequest implements ResourceRequest {
  readonly #request: {
    readonly rawHeaders?: readonly string[] | undefined
    readonly headers?: HeadersByName | undefined
    readonly socket?: Connection | null | undefined
    readonly stream?: Closing | null
    readonly readableDidRead?: boolean
  }
  readonly #headers: HeadersByName | undefined
  readonly #routed: Routed
  readonly method: string
  readonly url: string

  /**
   * @param url the target before any router shortened it, if the framework stores it elsewhere than in `request.url`
   * @param headers the header fields, if the framework stores changed ones elsewhere than in `request.headers`
   * @param routed the object with the route's pattern, if that is not the request
   */
  constructor(
    request: Partial<Pick<IncomingMessage, 'method' | 'url' | 'rawHeaders'>> & {
      readonly headers?: HeadersByName | undefined
      readonly socket?: Connection | null
      readonly stream?: object | null
      readonly readableDidRead?: boolean
    },
    url?: string,
    headers?: HeadersByName,
    routed: object = request
  ) {
    this.#request = request
    this.#routed = routed
    this.#headers = headers
    this.method = request.method ?? ''
    const target = url ?? request.url ?? ''
    this.url = target.startsWith('/') ? target : target.replace(ABSOLUTE_FORM, '')
  }

  fieldLines(name: string): readonly string[] {
    const raw = this.#request.rawHeaders
    const headers = this.#headers ?? this.#request.headers
    if (raw === undefined || raw.length === 0) return headers === undefined ? [] : linesInAnyCase(headers, name)
    const lines: string[] = []
    for (let i = 0; i < raw.length; i += 2) {
      const field = raw[i] as string
      if (field.length === name.length && field.toLowerCase() === name) lines.push(raw[i + 1] as string)
    }
    if (lines.length > 1 || headers === undefined) return lines
    const said = Object.hasOwn(headers, name) ? headers[name] : undefined
    return said === lines[0] ? lines : linesOf(said)
  }

  certificate(): Uint8Array | undefined {
    return this.#request.socket?.getPeerX509Certificate?.()?.raw
  }

  get peerAddress(): string | undefined {
    return this.#request.socket?.remoteAddress
  }

  /**
   * Pattern of the matched route. In a mounted Express router, the mount path appears as requested: Express does not
   * keep its pattern.
   */
  get route(): string | undefined {
    const { route, baseUrl = '', routeOptions, _matchedRoute } = this.#routed
    if (typeof route?.path === 'string') return baseUrl + route.path
    return [routeOptions?.url, _matchedRoute].find((pattern) => typeof pattern === 'string')
  }

  get requestId(): string | undefined {
    const { id } = this.#routed
    return typeof id === 'string' || typeof id === 'number' ? String(id) : undefined
  }

  /** A body that was read before the decision, so bodies of refused requests are read too. */
  get mistake(): string | undefined {
    return this.#request.readableDidRead === true ? BODY_READ : undefined
  }

  /** The object with the route's pattern: the framework's request or context. @internal */
  protected get host(): object {
    return this.#routed
  }

  onGone(listener: () => void): () => void {
    // An HTTP/2 stream closes on its own; its connection serves other streams too.
    return onClose(this.#request.stream ?? (this.#request.socket as Closing | null | undefined), listener)
  }
}

/** @param value undefined or null: the field was removed */
function linesOf(value: unknown): readonly string[] {
  return [value ?? []].flat().map(String)
}

function linesInAnyCase(headers: HeadersByName, name: string): readonly string[] {
  return Object.entries(headers).flatMap(([field, value]) => (field.toLowerCase() === name ? linesOf(value) : []))
}
