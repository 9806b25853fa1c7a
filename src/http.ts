/**
 * One bounded exchange with the authorization server: time for each attempt and for all of them, bytes, no redirects,
 * no cookies, TLS verified. One retry, jittered, on network errors, 408, 429 and 5xx, which honours `Retry-After`
 * (RFC 9110 §10.2.3) as far as the deadline allows.
 *
 * undici is imported on the first exchange, not before: an API with its keys in its settings never loads it.
 * Does NOT look inside the answer.
 */
import { isUtf8 } from 'node:buffer'
import { setTimeout as sleep } from 'node:timers/promises'
import { type Dependency, Misconfigured, Outage, RateLimited, Unavailable } from './errors.js'
import type { ExchangeEvent } from './events.js'
import { lookupPublic, NotPublic, requirePublicHost } from './public-addresses.js'
import type { HttpSettings } from './settings.js'

/** Bytes of a body that are read; a longer one is a failure. */
const MAX_BODY = 256 * 1024
/** Seconds before the retry, when nothing says otherwise: this much and up to twice. */
const RETRY_DELAY = 0.15

export interface Exchange {
  readonly url: string
  readonly method: 'GET' | 'POST'
  readonly headers: Readonly<Record<string, string>>
  readonly body?: string
  /** What is asked for, should it be unavailable. */
  readonly dependency: Dependency
}

export interface Answer {
  readonly status: number
  /** Media type, lower case, without parameters; `''` where there is none. */
  readonly contentType: string
  readonly cacheControl: string
  readonly body: string
}

/** @throws {Unavailable} network error, time, bytes, 408, 429 or 5xx, on the last attempt too */
export type Http = (exchange: Exchange) => Promise<Answer>

/** The part of undici's Dispatcher that is used. */
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
}

interface RawAnswer {
  readonly statusCode: number
  readonly headers: Readonly<Record<string, string | string[] | undefined>>
  readonly body: AsyncIterable<Uint8Array> & {
    destroy?(error?: Error): unknown
    on?(event: 'error', listener: () => void): unknown
  }
}

/** @param told of each attempt, when it has ended */
export function createHttp(settings: HttpSettings, told: Told): { exchange: Http; close(): Promise<void> } {
  let own: Promise<Dispatcher> | undefined
  let closed = false
  const dispatcher = (): Dispatcher | Promise<Dispatcher> => {
    if (settings.dispatcher) return settings.dispatcher as unknown as Dispatcher
    own ??= import('undici').then((undici) => createAgent(undici, settings)).catch(refuseHost)
    return own
  }
  const watched: typeof attempt = async (to, exchange, milliseconds) => {
    const startedAt = Date.now()
    const started = performance.now()
    const result = await attempt(to, exchange, milliseconds)
    const { dependency, method, url } = exchange
    const [status, failure] = 'answer' in result ? [result.answer.status, undefined] : [result.status, result.failure]
    const duration = performance.now() - started
    told({ dependency, method, host: new URL(url).host, status, failure, startedAt, duration })
    return result
  }
  return {
    exchange: async (exchange) => {
      if (closed) throw new Unavailable(exchange.dependency, 'the resource server was closed')
      const deadline = performance.now() + settings.deadline * 1000
      const to = await dispatcher()
      const timeout = 1000 * Math.min(settings.timeout, settings.deadline)
      const first = await watched(to, exchange, timeout)
      if ('answer' in first) return first.answer
      const pause = 1000 * (first.retryAfter ?? RETRY_DELAY * (1 + Math.random()))
      const left = deadline - performance.now() - pause
      // No time for another attempt: say so now, and let the client come back when the server asked it to.
      if (left <= 0) throw unavailable(exchange, first)
      await sleep(pause)
      const second = await watched(to, exchange, Math.min(left, timeout))
      if ('answer' in second) return second.answer
      throw unavailable(exchange, second)
    },
    close: async () => {
      closed = true
      await (await own?.catch(() => undefined))?.destroy?.()
    }
  }
}

/** Bun has another module under this name, and what is bundled for Workers cannot load this one. */
function refuseHost(cause: unknown): never {
  throw new Misconfigured(
    'undici does not run on this host: give `http: { dispatcher: fetchDispatcher() }`, of oauth-resource-server/fetch',
    { cause }
  )
}

function createAgent({ Agent, buildConnector }: typeof import('undici'), settings: HttpSettings): Dispatcher {
  const timeout = settings.timeout * 1000
  if (typeof Agent.prototype.request !== 'function') throw new TypeError('undici has no Agent that sends')
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
  /** Of the answer, where one came. */
  readonly status?: number
  readonly retryAfter?: number | undefined
  readonly cause?: unknown
  /** Whether the other side is down, rather than wrong. */
  readonly isOutage: boolean
}

function unavailable(
  { dependency, url }: Exchange,
  { failure, status, retryAfter, cause, isOutage }: Failure
): Unavailable {
  const Kind = status === 429 ? RateLimited : isOutage ? Outage : Unavailable
  return new Kind(dependency, `${new URL(url).host} ${failure}`, {
    cause,
    ...(retryAfter !== undefined && { retryAfter })
  })
}

type Outcome = { readonly answer: Answer } | Failure

/**
 * A timer over the whole attempt: a body that drips never trips an idle timeout. It counts whatever the dispatcher makes
 * of its signal, since undici goes on connecting for its own time: what comes of that later is nobody's any more.
 */
async function attempt(to: Dispatcher, exchange: Exchange, milliseconds: number): Promise<Outcome> {
  const abort = new AbortController()
  let timer: NodeJS.Timeout | undefined
  const late = new Promise<Failure>((resolve) => {
    timer = setTimeout(() => {
      const failure = `did not answer within ${milliseconds / 1000} s`
      const cause = new DOMException(failure, 'TimeoutError')
      resolve({ failure, cause, isOutage: true })
      abort.abort(cause)
    }, milliseconds)
    timer.unref()
  })
  try {
    return await Promise.race([send(to, exchange, abort.signal), late])
  } finally {
    clearTimeout(timer)
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
    if (field(answer, 'content-encoding', 'identity') !== 'identity') {
      discard(answer.body)
      return { failure: 'sent a compressed body, which was not asked for', status, isOutage: false }
    }
    const bytes = await readBody(answer.body)
    if (bytes === undefined) return { failure: `sent a body of more than ${MAX_BODY} bytes`, status, isOutage: false }
    if (!isUtf8(bytes)) return { failure: 'sent a body that is not UTF-8', status, isOutage: false }
    const contentType = (field(answer, 'content-type', '').split(';')[0] as string).trim()
    return { answer: { status, contentType, cacheControl: field(answer, 'cache-control', ''), body: bytes.toString() } }
  } catch (cause) {
    if (cause instanceof NotPublic)
      return { failure: 'is not at a public address, and `http.publicAddressesOnly` wants one', cause, isOutage: false }
    return { failure: 'could not be reached', cause, isOutage: true }
  }
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

function discard(body: RawAnswer['body']): void {
  body.on?.('error', () => undefined)
  body.destroy?.()
}

function field({ headers }: RawAnswer, name: string, absent: string): string {
  return String([headers[name] ?? absent].flat().join(', ')).toLowerCase()
}

/** Seconds, from either form of the field; undefined where it has neither. */
function readRetryAfter(value: string | string[] | undefined): number | undefined {
  const text = String([value].flat()[0] ?? '')
  if (/^\d{1,9}$/.test(text)) return Number(text)
  const date = Date.parse(text)
  return Number.isNaN(date) ? undefined : Math.max(0, (date - Date.now()) / 1000)
}
