/**
 * One HTTP exchange with the authorization server, with limits on the time of each attempt, the total time and the
 * bytes. It follows no redirects, sends no cookies and verifies TLS. It retries once, with jitter, on network errors,
 * 408, 429 and 5xx, and honours `Retry-After` (RFC 9110 §10.2.3) as far as the deadline allows.
 *
 * undici is imported on the first exchange, so an API with its keys in its settings never loads it. Does NOT parse the
 * answer.
 */

import { isUtf8 } from 'node:buffer'
import { promisify } from 'node:util'
import { brotliDecompress, gunzip, inflate, inflateRaw } from 'node:zlib'
import { sleep, type Timer, world } from '../base/world.js'
import { type Dependency, type FailureKind, Misconfigured, Unavailable } from '../errors/errors.js'
import { createProxied, ProxyFailure, unusedProxy } from './proxy.js'
import { lookupPublic, NotPublic, requirePublicHost } from './public-addresses.js'
import type { HttpSettings } from './settings.js'

/** Maximum bytes of a body, both as sent and as decoded; a longer body is a failure. */
const MAX_BODY = 256 * 1024

/** Maximum content codings that one body may have. */
const MAX_CODINGS = 2

/** Seconds before the retry if there is no `Retry-After`: a random time between this and twice this. */
const RETRY_DELAY = 0.15

export interface Exchange {
  readonly url: string
  readonly method: 'GET' | 'POST'
  readonly headers: Readonly<Record<string, string>>
  readonly body?: string
  /** The dependency that the error names if the exchange fails. */
  readonly dependency: Dependency
  /** How messages name the server. Default: the host. */
  readonly label?: string
  /** Milliseconds for all attempts, if less than `http.deadline` is left. */
  readonly within?: number
  /** Once aborted, no second attempt is made. */
  readonly signal?: AbortSignal
}

export interface Answer {
  readonly status: number
  /** Media type in lower case, without parameters; `''` if missing. */
  readonly contentType: string
  readonly cacheControl: string
  /** The `Date` field as sent; `''` if missing. */
  readonly date: string
  /** Decoded, without a byte order mark (RFC 8259 §8.1). */
  readonly body: string
}

export interface Http {
  /** @throws {Unavailable} network error, time-out, too many bytes, 408, 429 or 5xx, also on the last attempt */
  (exchange: Exchange): Promise<Answer>
  /** `http.deadline` in milliseconds. */
  readonly patience: number
}

/** Words for an answer's status in messages. */
export function describeStatus(status: number): string {
  return status >= 300 && status < 400 ? `answered ${status}, a redirect, which is not followed` : `answered ${status}`
}

/** The part of undici's Dispatcher that we use. */
interface Dispatcher {
  request(options: {
    origin: string
    path: string
    method: string
    headers: Readonly<Record<string, string>>
    body: string | null
    signal: AbortSignal
  }): Promise<RawAnswer>
  destroy?(): Promise<void>
  /** True while a proxy on the way has not answered. */
  waitsForProxy?(url: string): boolean
}

interface RawAnswer {
  readonly statusCode: number
  readonly headers: Readonly<Record<string, string | string[] | undefined>>
  readonly body: AsyncIterable<Uint8Array> & {
    destroy?(error?: Error): unknown
    on?(event: 'error', listener: () => void): unknown
  }
}

/** @param told called after each attempt */
export function createHttp(settings: HttpSettings, told: Told): { exchange: Http; close(): Promise<void> } {
  const patience = settings.deadline * 1000
  let own: Promise<Dispatcher> | undefined
  let closed = false
  const dispatcher = (): Dispatcher | Promise<Dispatcher> => {
    if (settings.dispatcher) return settings.dispatcher as unknown as Dispatcher
    own ??= import('undici').then((undici) => createAgent(undici, settings)).catch(refuseHost)
    return own
  }
  const watched: typeof attempt = async (to, exchange, milliseconds) => {
    const startedAt = 1000 * world.now()
    const started = world.monotonic()
    const result = hinted(await attempt(to, exchange, milliseconds), exchange)
    const { dependency, method, url } = exchange
    const [status, failure] = 'answer' in result ? [result.answer.status, undefined] : [result.status, result.failure]
    const duration = world.monotonic() - started
    told({ dependency, method, host: new URL(url).host, status, failure, startedAt, duration })
    return result
  }
  /**
   * Names a proxy variable of the environment in a failure, if no proxy is configured. We do not use the variable, but
   * an operator should look at it first if no server is reached.
   */
  const hinted = (outcome: Outcome, { url }: Exchange): Outcome => {
    if ('answer' in outcome || outcome.status !== undefined || settings.proxy || settings.dispatcher) return outcome
    const name = outcome.isOutage ? unusedProxy(url) : undefined
    return name ? { ...outcome, failure: `${outcome.failure} (${name} is set, and \`http.proxy\` is not)` } : outcome
  }
  const send = async (exchange: Exchange): Promise<Answer> => {
    if (closed) throw new Unavailable(exchange.dependency, 'the resource server was closed')
    const given = Math.min(patience, exchange.within ?? patience)
    const deadline = world.monotonic() + given
    const to = await dispatcher()
    const timeout = Math.min(1000 * settings.timeout, given)
    const first = await watched(to, exchange, timeout)
    if ('answer' in first) return first.answer
    const pause = 1000 * (first.retryAfter ?? RETRY_DELAY * (1 + world.random()))
    const left = deadline - world.monotonic() - pause
    // No time is left for another attempt: fail now, with the delay that the server asked for.
    if (left <= 0 || exchange.signal?.aborted) throw unavailable(exchange, first)
    await sleep(pause)
    const second = await watched(to, exchange, Math.min(left, timeout))
    if ('answer' in second) return second.answer
    throw unavailable(exchange, second)
  }
  return {
    exchange: Object.assign(send, { patience }),
    close: async () => {
      closed = true
      await (await own?.catch(() => undefined))?.destroy?.()
    }
  }
}

/** Matches the error of esbuild's and rolldown's replacement for `require` in an ES module. */
const NO_REQUIRE = /^(?:Dynamic require of|Calling `require` for)/

/**
 * Explains why undici cannot be loaded. Bun has a different module named undici, a Workers bundle cannot load it, and
 * another bundle may lack it.
 */
function refuseHost(cause: unknown): never {
  const { code, message } = Object(cause) as { readonly code?: unknown; readonly message?: unknown }
  const problem = NO_REQUIRE.test(String(message))
    ? 'undici is in an ESM bundle, where its `require` does not run: mark undici as external (esbuild: --external:undici) and install it beside the bundle, or'
    : code === 'ERR_MODULE_NOT_FOUND' || code === 'MODULE_NOT_FOUND'
      ? 'undici was not found: install it where this runs, such as beside a bundle that has it as external (npm install undici@7), or'
      : 'undici does not run on this host:'
  throw new Misconfigured(
    `${problem} set \`http: { dispatcher: fetchDispatcher() }\`, from oauth-resource-server/fetch`,
    { cause }
  )
}

function createAgent(undici: typeof import('undici'), settings: HttpSettings): Dispatcher {
  const { Agent, buildConnector } = undici
  const timeout = settings.timeout * 1000
  if (typeof Agent.prototype.request !== 'function') throw new TypeError('undici has no Agent that sends')
  if (settings.proxy !== undefined) return createProxied(undici, settings.proxy, timeout)
  if (!settings.publicAddressesOnly) return new Agent({ connect: { timeout } }) as unknown as Dispatcher
  const connect = buildConnector({ timeout, lookup: lookupPublic })
  const guarded: typeof connect = (options, callback) => {
    try {
      requirePublicHost(options.hostname)
    } catch (error) {
      callback(error as Error, null)
      return
    }
    connect(options, callback)
  }
  return new Agent({ connect: guarded }) as unknown as Dispatcher
}

type Told = (exchange: Omit<ExchangeEvent, 'resource'>) => void

interface Failure {
  readonly failure: string
  /** Status of the answer, if one arrived. */
  readonly status?: number
  readonly retryAfter?: number | undefined
  readonly cause?: unknown
  /** True if the other side is down, false if it answered wrongly. */
  readonly isOutage: boolean
}

function unavailable(
  { dependency, url, label = new URL(url).host }: Exchange,
  { failure, status, retryAfter, cause, isOutage }: Failure
): Unavailable {
  const failureKind: FailureKind = status === 429 ? 'rate_limited' : isOutage ? 'down' : 'other'
  return new Unavailable(dependency, `${label} ${failure}`, {
    cause,
    failureKind,
    ...(retryAfter !== undefined && { retryAfter })
  })
}

type Outcome = { readonly answer: Answer } | Failure

/**
 * Makes one attempt, with a timer over all of it: a body that drips never trips an idle timeout. The timer ends the
 * attempt even if the dispatcher ignores its signal. undici may then still be connecting; its result is dropped.
 */
async function attempt(to: Dispatcher, exchange: Exchange, milliseconds: number): Promise<Outcome> {
  const abort = new AbortController()
  let timer: Timer | undefined
  const late = new Promise<Failure>((resolve) => {
    timer = world.after(milliseconds, () => {
      const late = `did not answer within ${milliseconds / 1000} s`
      const cause = new DOMException(late, 'TimeoutError')
      const atProxy = to.waitsForProxy?.(exchange.url)
        ? failureOf(new ProxyFailure('did not answer CONNECT in time', { cause }))
        : undefined
      resolve(atProxy ?? { failure: late, cause, isOutage: true })
      abort.abort(cause)
    })
    timer.unref()
  })
  try {
    return await Promise.race([send(to, exchange, abort.signal), late])
  } finally {
    world.cancel(timer)
  }
}

/** Never rejects. */
async function send(to: Dispatcher, { url, method, headers, body }: Exchange, signal: AbortSignal): Promise<Outcome> {
  try {
    const { origin, pathname, search } = new URL(url)
    const answer = await to.request({
      origin,
      path: pathname + search,
      method,
      headers: { ...headers, 'accept-encoding': 'identity' },
      body: body ?? null,
      signal
    })
    const { statusCode: status } = answer
    if (signal.aborted || status === 408 || status === 429 || status >= 500) {
      discard(answer.body)
      const retryAfter = readRetryAfter(answer.headers['retry-after'])
      return { failure: `answered ${status}`, status, retryAfter, isOutage: true }
    }
    const codings = codingsOf(answer)
    if (codings === undefined) {
      discard(answer.body)
      return { failure: 'sent a body with a content coding other than gzip, deflate and br', status, isOutage: false }
    }
    const sent = await readBody(answer.body)
    const bytes = sent && (await decoded(sent, codings))
    if (bytes === undefined) return { failure: `sent a body of more than ${MAX_BODY} bytes`, status, isOutage: false }
    if (bytes === BROKEN) return { failure: 'sent a compressed body that is broken', status, isOutage: false }
    if (!isUtf8(bytes)) return { failure: 'sent a body that is not UTF-8', status, isOutage: false }
    const contentType = (field(answer, 'content-type', '').split(';')[0] as string).trim()
    const text = bytes.toString().replace(/^\uFEFF/, '')
    const date = String(answer.headers['date'] ?? '')
    return { answer: { status, contentType, cacheControl: field(answer, 'cache-control', ''), date, body: text } }
  } catch (cause) {
    return failureOf(cause)
  }
}

function failureOf(cause: unknown): Failure {
  if (cause instanceof NotPublic)
    return { failure: 'is not at a public address, which `http.publicAddressesOnly` requires', cause, isOutage: false }
  if (cause instanceof ProxyFailure)
    return { failure: `was not reached: the proxy of \`http.proxy\` ${cause.message}`, cause, isOutage: true }
  return { failure: 'could not be reached', cause, isOutage: true }
}

async function readBody(body: RawAnswer['body']): Promise<Buffer | undefined> {
  const chunks: Uint8Array[] = []
  let bytes = 0
  for await (const chunk of body) {
    bytes += chunk.byteLength
    if (bytes > MAX_BODY) return undefined
    chunks.push(chunk)
  }
  return Buffer.concat(chunks)
}

type Decoder = (bytes: Buffer, options: { readonly maxOutputLength: number }) => Promise<Buffer>

const [unzip, unbrotli, zlib, raw] = [gunzip, brotliDecompress, inflate, inflateRaw].map(promisify) as unknown as [
  Decoder,
  Decoder,
  Decoder,
  Decoder
]

/** Many servers send `deflate` without the zlib wrapper that RFC 9110 §8.4.1.2 requires. */
const inflated: Decoder = (bytes, options) => (((bytes[0] ?? 0) & 0x0f) === 8 ? zlib : raw)(bytes, options)

const DECODERS: ReadonlyMap<string, Decoder> = new Map([
  ['gzip', unzip],
  ['x-gzip', unzip],
  ['deflate', inflated],
  ['br', unbrotli]
])

/**
 * The decoders of an answer's content codings, in reverse order of encoding (RFC 9110 §8.4); undefined if we cannot
 * decode one.
 */
function codingsOf(answer: RawAnswer): readonly Decoder[] | undefined {
  const names = field(answer, 'content-encoding', '')
    .split(',')
    .map((name) => name.trim())
    .filter((name) => name !== '' && name !== 'identity')
  const decoders = names.flatMap((name) => DECODERS.get(name) ?? []).toReversed()
  return decoders.length === names.length && decoders.length <= MAX_CODINGS ? decoders : undefined
}

const BROKEN = Symbol('broken')

/**
 * Decodes a body. No decoder writes more than {@link MAX_BODY}, so a small body cannot grow without limit. Undefined if
 * it would be longer.
 */
async function decoded(sent: Buffer, decoders: readonly Decoder[]): Promise<Buffer | typeof BROKEN | undefined> {
  let bytes = sent
  try {
    for (const decode of bytes.length === 0 ? [] : decoders) bytes = await decode(bytes, { maxOutputLength: MAX_BODY })
    return bytes
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'ERR_BUFFER_TOO_LARGE' ? undefined : BROKEN
  }
}

function discard(body: RawAnswer['body']): void {
  body.on?.('error', () => undefined)
  body.destroy?.()
}

function field({ headers }: RawAnswer, name: string, absent: string): string {
  return String([headers[name] ?? absent].flat().join(', ')).toLowerCase()
}

/** Seconds, from either form of the field; undefined if the field has neither. */
function readRetryAfter(value: string | string[] | undefined): number | undefined {
  const text = String([value].flat()[0] ?? '')
  if (/^\d{1,9}$/.test(text)) return Number(text)
  const date = Date.parse(text)
  return Number.isNaN(date) ? undefined : Math.max(0, date / 1000 - world.now())
}

/** One attempt: a request, and its answer or failure. */
export interface ExchangeEvent {
  readonly resource: string
  readonly dependency: Dependency
  readonly method: 'GET' | 'POST'
  /** Host and port of the server. */
  readonly host: string
  /** HTTP status; undefined if no answer arrived. */
  readonly status: number | undefined
  /** Reason of the failure, in words that follow the host; undefined for a usable answer. */
  readonly failure: string | undefined
  /** Milliseconds since the epoch. */
  readonly startedAt: number
  /** Milliseconds. */
  readonly duration: number
}
