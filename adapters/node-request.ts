/** What the adapters over `node:http` share: a request as the core reads it, and header fields onto a response. */
import { channel } from 'node:diagnostics_channel'
import type { IncomingMessage, OutgoingHttpHeaders, ServerResponse } from 'node:http'
import type { Duplex } from 'node:stream'
import type { Access, Awaitable, HeaderFields, MetadataAnswer, ResourceRequest, ResourceServer } from '../src/index.js'
import { isAccess, isPromise, Misconfigured, ResourceServerError } from '../src/index.js'
import { oauthContent, type Render } from './error-body.js'

/** What is read of a connection: a socket of `node:net` or `node:tls` is one. */
export interface Connection {
  readonly remoteAddress?: string | undefined
  /** The certificate that the client authenticated with, on a TLS server with `requestCert`. */
  getPeerX509Certificate?(): { readonly raw: Uint8Array } | undefined
}

/** Where frameworks keep the pattern of the route that a request was matched to: Express, Fastify and @koa/router, in this order. */
interface Routed {
  readonly route?: { readonly path?: unknown } | undefined
  readonly baseUrl?: string | undefined
  readonly routeOptions?: { readonly url?: string | undefined } | undefined
  readonly _matchedRoute?: unknown
}

/** A connection, or a stream of HTTP/2, that says when it is closed. */
interface Closing {
  readonly destroyed?: boolean
  once?(event: 'close', listener: () => void): unknown
  off?(event: 'close', listener: () => void): unknown
}

/** Requests that wait on a connection. It has one listener for all of them, however many are pipelined on it. */
interface Listening {
  readonly calls: Set<() => void>
  readonly listener: () => void
}

const listening = new WeakMap<Closing, Listening>()

/** @returns ends it */
function onClose(connection: Closing | null | undefined, call: () => void): () => void {
  if (typeof connection?.once !== 'function') return () => undefined
  if (connection.destroyed === true) {
    call()
    return () => undefined
  }
  const { calls, listener } = listening.get(connection) ?? listen(connection)
  calls.add(call)
  return () => {
    calls.delete(call)
    if (calls.size > 0) return
    connection.off?.('close', listener)
    listening.delete(connection)
  }
}

function listen(connection: Closing): Listening {
  const calls = new Set<() => void>()
  const listener = (): void => {
    listening.delete(connection)
    for (const call of calls) call()
  }
  const made = { calls, listener }
  listening.set(connection, made)
  connection.once?.('close', listener)
  return made
}

/** `GET http://host/path`: every server must accept it (RFC 9112 §3.2.2), and its host is not ours to believe. */
const ABSOLUTE_FORM = /^https?:\/\/[^/?#]*/i

/** Header fields by lower-case name, as `IncomingMessage.headers` has them. */
export type HeadersByName = Readonly<Record<string, string | readonly string[] | undefined>>

/**
 * A request of `node:http`, of the compatibility API of HTTP/2, or of a host that imitates one (AWS Lambda, test mocks).
 *
 * Reads `rawHeaders` and `headers`. Only `rawHeaders` has both of two `Authorization` lines, so two lines are always
 * reported as two. Otherwise `headers` decides: the application's middleware sets and deletes fields there. Where `rawHeaders`
 * is empty or missing, `headers` is all there is, and its names may be in any case.
 */
export class NodeRequest implements ResourceRequest {
  readonly #request: {
    readonly rawHeaders?: readonly string[] | undefined
    readonly headers?: HeadersByName | undefined
    readonly socket?: Connection | null | undefined
    readonly stream?: Closing | null
  }
  readonly #headers: HeadersByName | undefined
  readonly #routed: Routed
  readonly method: string
  readonly url: string

  /**
   * @param url the target before any router cut it, where the framework keeps it elsewhere than in `request.url`
   * @param headers the header fields, where the framework keeps changed ones elsewhere than in `request.headers`
   * @param routed what knows the route, where that is not the request
   */
  constructor(
    request: Partial<Pick<IncomingMessage, 'method' | 'url' | 'rawHeaders'>> & {
      readonly headers?: HeadersByName | undefined
      readonly socket?: Connection | null
      readonly stream?: object | null
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

  /** Below a path that an Express router is mounted at, with that path as it was requested: Express keeps no pattern of it. */
  get route(): string | undefined {
    const { route, baseUrl = '', routeOptions, _matchedRoute } = this.#routed
    if (typeof route?.path === 'string') return baseUrl + route.path
    return [routeOptions?.url, _matchedRoute].find((pattern) => typeof pattern === 'string')
  }

  onGone(listener: () => void): () => void {
    // A stream of HTTP/2 is closed by itself, and its connection is for others too.
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

/** Fields whose lines add up; of any other, the last one counts. */
const LISTS: ReadonlySet<string> = new Set(['vary', 'access-control-expose-headers'])

/**
 * Header fields together with those a response already has: challenges become further lines, lists are joined, and
 * nothing that other middleware set is lost (RFC 9110 §5.3).
 *
 * @param existing the value a response has for a field name
 */
export function mergeHeaders(fields: HeaderFields, existing: (name: string) => unknown): HeaderFields {
  const merged: Record<string, string | readonly string[]> = {}
  for (const [name, value] of Object.entries(fields)) {
    const present = [existing(name) ?? []].flat().map(String)
    if (name === 'WWW-Authenticate') merged[name] = [...new Set([...present, ...[value].flat()])]
    else if (LISTS.has(name.toLowerCase())) merged[name] = joinLists([...present, ...[value].flat()])
    else merged[name] = value
  }
  return merged
}

function joinLists(lines: readonly string[]): string {
  const byLowerCase = new Map<string, string>()
  for (const one of lines.join(',').split(',')) {
    const name = one.trim()
    if (name !== '' && !byLowerCase.has(name.toLowerCase())) byLowerCase.set(name.toLowerCase(), name)
  }
  return [...byLowerCase.values()].join(', ')
}

/**
 * Puts a refusal's header fields on the response *and* leaves them, merged, on the error: Koa's default handler drops
 * the first, a custom handler in Express or Fastify loses the second.
 *
 * @returns what to throw, or to pass on: {@link passable}
 */
export function surface(
  error: unknown,
  existing: (name: string) => unknown,
  set: (name: string, value: string | string[]) => void
): object {
  if (!(error instanceof ResourceServerError)) return passable(error)
  const merged = mergeHeaders(error.headers, existing)
  // An outage is one error for all who wait: only what belongs to this request alone is written to it.
  if ('WWW-Authenticate' in merged) error.headers = merged
  setAll(merged, set)
  return error
}

/**
 * What every framework takes for a failure. To a callback undefined is none, and the request goes on; 'route' tells Express
 * to pass over the rest; Koa answers nothing at all. A resource server throws no such thing; what wraps one might.
 */
export function passable(error: unknown): object {
  return typeof error === 'object' && error !== null
    ? error
    : new TypeError('what failed is no error', { cause: error })
}

/** True for what most routes and grants have: no header fields. Nothing is to be made for them, not even a function. */
export function isEmpty(fields: HeaderFields): boolean {
  for (const _ in fields) return false
  return true
}

/** How a response's header fields are read and set. */
export type HeaderAccess = [existing: (name: string) => unknown, set: (name: string, value: string | string[]) => void]

/** Puts header fields on a response, together with those it has. */
export function addHeaders(fields: HeaderFields, ...[existing, set]: HeaderAccess): void {
  setAll(mergeHeaders(fields, existing), set)
}

function setAll(fields: HeaderFields, set: (name: string, value: string | string[]) => void): void {
  for (const [name, value] of Object.entries(fields)) set(name, typeof value === 'string' ? value : [...value])
}

/**
 * Fields about content (RFC 9110 §8, §14.4; RFC 9530). What a handler said of what it meant to send is not true of a refusal:
 * by a length of something else a client takes the next answer for the rest of this one, or waits.
 */
const ABOUT_CONTENT = [
  'content-digest',
  'content-disposition',
  'content-encoding',
  'content-language',
  'content-length',
  'content-location',
  'content-range',
  'content-type',
  'etag',
  'last-modified',
  'repr-digest',
  'trailer',
  'transfer-encoding'
]

/** What is used of a response whose header fields can be taken back. */
export interface Fields {
  hasHeader(name: string): boolean
  removeHeader(name: string): unknown
}

/**
 * Takes back what was said of content that is not sent, and only that: in place of a field that was removed, there or not,
 * Node makes no other, and an answer without length and coding has no end but the connection's.
 */
export function forgetContent(response: Fields): void {
  for (const name of ABOUT_CONTENT) if (response.hasHeader(name)) response.removeHeader(name)
}

/**
 * The status of a failure, where what was thrown is no error: never one of success.
 *
 * @param begun what the response has by then
 */
export function failureStatus(thrown: unknown, begun: number): number {
  const { status, statusCode = status } = (thrown ?? {}) as { readonly status?: unknown; readonly statusCode?: unknown }
  return [statusCode, begun].find(isFailure) ?? 500
}

function isFailure(status: unknown): status is number {
  return Number.isInteger(status) && (status as number) >= 400 && (status as number) <= 599
}

/** The body of an answer, empty where it has none, and the fields about it. */
export function contentOf(
  error: ResourceServerError,
  render: Render = oauthContent
): { readonly body: string; readonly fields: HeaderFields } {
  const { body, type } = render(error)
  const fields = { 'Content-Length': String(Buffer.byteLength(body)) }
  return { body, fields: type === undefined ? fields : { ...fields, 'Content-Type': type } }
}

/** Answers with an error, in place of whatever a handler had begun to say. */
export function answerWith(
  error: ResourceServerError,
  { method }: Pick<IncomingMessage, 'method'>,
  response: ServerResponse,
  render: Render
): void {
  const { body, fields } = contentOf(error, render)
  forgetContent(response)
  addHeaders({ ...error.headers, ...fields }, ...headersOf(response))
  response.statusCode = error.status
  response.end(method === 'HEAD' ? undefined : body)
}

/**
 * True for a body that is still on its way, all of which would have to be read before the next request of HTTP/1.1. `complete`
 * alone does not tell: before anything is read, a request without a body is not complete either.
 */
export function hasMore({
  complete,
  headers,
  httpVersionMajor
}: Pick<IncomingMessage, 'complete' | 'headers' | 'httpVersionMajor'>): boolean {
  // A stream of HTTP/2 ends alone, and its connection is for others too (RFC 9113 §8.2.2).
  if (complete || httpVersionMajor > 1) return false
  return headers['transfer-encoding'] !== undefined || Number(headers['content-length'] ?? 0) !== 0
}

/** What is used of a stream of HTTP/2. */
export interface Http2Stream extends Duplex {
  readonly headersSent: boolean
  respond(headers: OutgoingHttpHeaders): void
  close(code: number): void
}

/** RFC 9113 §7. */
export const NO_ERROR = 0
export const INTERNAL_ERROR = 2

/**
 * Ends a response that has begun and will not be finished, so that the client does not wait for the rest, nor takes what is
 * there for whole. Leaves one alone whose end was written.
 */
export function cutOff(response: ServerResponse & { readonly stream?: Http2Stream }): void {
  if (response.writableEnded) return
  if (response.stream) response.stream.close(INTERNAL_ERROR)
  else response.destroy()
}

/**
 * Closes a stream of HTTP/2 once its answer is sent, where its request has not ended by then: a client would keep it open for
 * as long as it likes (RFC 9113 §8.1). Node.js does so only for a body that nothing began to read. Does nothing on HTTP/1.1.
 */
export function closeWhenAnswered(request: IncomingMessage | undefined): void {
  const { stream } = (request ?? {}) as { readonly stream?: Http2Stream | null }
  if (request === undefined || request.complete || typeof stream?.close !== 'function') return
  const close = (): void => {
    if (stream.closed) return
    stream.close(NO_ERROR)
    // What has come and is not read would keep Node.js from forgetting the stream.
    request.resume()
  }
  if (stream.writableFinished) setImmediate(close)
  else stream.once('finish', () => setImmediate(close))
}

/** Of a response of `node:http`. */
export function headersOf(response: ServerResponse): HeaderAccess {
  return [(name) => response.getHeader(name), (name, value) => void response.setHeader(name, value)]
}

/** The access that `protect` left, or undefined; what another package put there does not count. */
export function findAccess(value: unknown): Access | undefined {
  return isAccess(value) ? value : undefined
}

/** @throws {Error} telling what to mount, where there is none */
export function requireAccess(value: unknown, where: string): Access {
  if (isAccess(value)) return value
  throw new Error(
    `getAuth(): there is no access on ${where}. Mount protect(api, …) before this handler; ` +
      'where `optional` or `skipPreflight` lets requests through without a token, use getOptionalAuth().'
  )
}

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

/** Answers with metadata: at once, where they are known. */
export function withMetadata<T>(answer: Awaitable<MetadataAnswer>, send: (answer: MetadataAnswer) => T): Awaitable<T> {
  return isPromise(answer) ? answer.then(send) : send(answer)
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
