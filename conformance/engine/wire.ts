/**
 * Sends a request as it is written: header lines in order and repeated, raw targets, any method. The caller
 * keeps both sides of an exchange for the report.
 *
 * Does NOT follow redirects, decompress, or keep cookies.
 *
 * Tests: `test/conformance/wire.test.ts`.
 */
import { type ClientRequest, Agent as HttpAgent, type IncomingMessage, request as requestHttp } from 'node:http'
import { Agent as HttpsAgent, type RequestOptions, request as requestHttps } from 'node:https'
import type { OpenAnswer, WireRequest, WireResponse } from '../check.js'

/** Maximum bytes of a body that are read. */
const MAX_BODY = 65_536
/** Milliseconds until a request without an answer fails, and until a body that goes on is cut. */
const TIMEOUT = 10_000
/** Milliseconds for the first event of a stream: its status is known. */
const MAX_EVENT_WAIT = 500

export interface WireOptions {
  readonly userAgent: string
  /** PEM of the certificates to trust in addition to those of Node.js. */
  readonly ca?: string | undefined
  /** Milliseconds. Default 10,000. */
  readonly timeout?: number | undefined
}

/** The API did not answer: the code says why, for example `ECONNREFUSED`. */
export class NoAnswer extends Error {
  override readonly name = 'NoAnswer'
  readonly code: string

  constructor(cause: NodeJS.ErrnoException) {
    super(cause.message, { cause })
    this.code = cause.code ?? 'unknown'
  }
}

export interface Wire {
  /** @throws {NoAnswer} no connection, no trust in the certificate, no answer in time, or an answer that is not HTTP */
  send(request: WireRequest): Promise<WireResponse>
  /** Sends a request whose answer may stay open. @throws {NoAnswer} as `send` */
  open(request: WireRequest): Promise<OpenAnswer>
  close(): void
}

/** @param url the URL under test: its origin gets every request */
export function createWire(url: URL, { userAgent, ca, timeout = TIMEOUT }: WireOptions): Wire {
  const isHttps = url.protocol === 'https:'
  const agent = isHttps
    ? new HttpsAgent({ keepAlive: true, maxSockets: 8 })
    : new HttpAgent({ keepAlive: true, maxSockets: 8 })
  const base = {
    host: url.hostname.replace(/^\[|\]$/g, ''),
    port: url.port === '' ? (isHttps ? 443 : 80) : Number(url.port),
    setHost: false
  }
  const optionsOf = (request: WireRequest): RequestOptions => ({
    ...base,
    method: request.method ?? 'GET',
    path: targetOf(request, url),
    headers: linesOf(request, url, userAgent).flat(),
    ...(isOwnConnection(request) ? { agent: false as const } : { agent }),
    ...(isHttps && tlsOf(request, ca))
  })
  const attempt = (request: WireRequest, isLast: boolean): Promise<WireResponse> =>
    new Promise((resolve, reject) => {
      const fail = (error: NodeJS.ErrnoException): void => reject(new NoAnswer(error))
      const outgoing = (isHttps ? requestHttps : requestHttp)(optionsOf(request), (answer) => {
        read(answer, timeout).then(resolve, fail)
      })
      limitHead(outgoing, timeout)
      outgoing.on('error', (error: NodeJS.ErrnoException) => {
        // The API closed an idle connection while the request was on its way (RFC 9112 §9.3.1).
        if (!isLast && outgoing.reusedSocket && error.code === 'ECONNRESET') {
          // The other idle connections are as old, and may have been closed too.
          closeIdle(agent)
          // An API that this request ended refuses the next connection: the reset says more.
          attempt(request, true).then(resolve, () => fail(error))
        } else fail(error)
      })
      outgoing.end(request.body)
    })
  const opened = new Set<OpenAnswer>()
  return {
    send: (request) => attempt(request, false),
    open: (request) =>
      new Promise((resolve, reject) => {
        const fail = (error: NodeJS.ErrnoException): void => reject(new NoAnswer(error))
        const outgoing = (isHttps ? requestHttps : requestHttp)({ ...optionsOf(request), agent: false }, (answer) => {
          const one = openAnswer(answer)
          opened.add(one)
          resolve(one)
        })
        limitHead(outgoing, timeout)
        outgoing.on('error', fail)
        outgoing.end(request.body)
      }),
    close: () => {
      for (const one of opened) one.close()
      agent.destroy()
    }
  }
}

function closeIdle({ freeSockets }: HttpAgent): void {
  for (const socket of Object.values(freeSockets).flat()) socket?.destroy()
}

/** The request target as it is sent. */
export function targetOf({ target }: WireRequest, url: URL): string {
  return target ?? `${url.pathname}${url.search}`
}

/** The lines of a request, as they are sent. */
function linesOf(request: WireRequest, url: URL, userAgent: string): (readonly [string, string])[] {
  const given = request.fields ?? []
  const has = (name: string): boolean => given.some(([one]) => one.toLowerCase() === name)
  const lines: (readonly [string, string])[] = []
  if (!has('host')) lines.push(['Host', url.host])
  if (!has('user-agent')) lines.push(['User-Agent', userAgent])
  if (!has('accept')) lines.push(['Accept', '*/*'])
  lines.push(...given)
  if (request.body !== undefined && !has('content-length') && !has('transfer-encoding'))
    lines.push(['Content-Length', String(Buffer.byteLength(request.body))])
  return lines
}

function isOwnConnection({ certificate, maxTls }: WireRequest): boolean {
  return certificate !== undefined || maxTls !== undefined
}

function tlsOf({ certificate, maxTls }: WireRequest, ca: string | undefined): object {
  return {
    ...(ca !== undefined && { ca }),
    ...certificate,
    // OpenSSL offers TLS 1.1 only at security level 0.
    ...(maxTls !== undefined && { minVersion: 'TLSv1', maxVersion: maxTls, ciphers: 'DEFAULT@SECLEVEL=0' })
  }
}

function openAnswer(answer: IncomingMessage): OpenAnswer {
  let hasEnded = false
  answer.on('close', () => {
    hasEnded = true
  })
  // A connection that the API resets has ended too.
  answer.on('error', () => {})
  answer.resume()
  return {
    status: answer.statusCode ?? 0,
    fields: fieldsOf(answer),
    get hasEnded() {
      return hasEnded
    },
    close: () => answer.destroy()
  }
}

function fieldsOf({ rawHeaders }: IncomingMessage): WireResponse['fields'] {
  const fields: [string, string][] = []
  for (let i = 0; i < rawHeaders.length; i += 2)
    fields.push([(rawHeaders[i] as string).toLowerCase(), rawHeaders[i + 1] as string])
  return fields
}

/** Ends a request whose header has not come in time, however slowly its octets come. */
function limitHead(outgoing: ClientRequest, timeout: number): void {
  const timer = setTimeout(() => {
    outgoing.destroy(Object.assign(new Error(`no answer in ${timeout / 1000} seconds`), { code: 'ETIMEDOUT' }))
  }, timeout)
  outgoing.on('response', () => clearTimeout(timer))
  outgoing.on('close', () => clearTimeout(timer))
}

/** Reads an answer until its end, at most 64 KiB, and at most for this time: an answer that goes on is cut. */
function read(answer: IncomingMessage, timeout: number): Promise<WireResponse> {
  const isEvents = /^text\/event-stream\b/i.test(answer.headers['content-type'] ?? '')
  const chunks: Buffer[] = []
  let size = 0
  return new Promise((resolve, reject) => {
    const finish = (): void => {
      clearTimeout(timer)
      const body = Buffer.concat(chunks).subarray(0, MAX_BODY).toString('utf8')
      resolve({ status: answer.statusCode ?? 0, fields: fieldsOf(answer), body })
    }
    const cut = (): void => {
      finish()
      answer.destroy()
    }
    const timer = setTimeout(cut, isEvents ? Math.min(timeout, MAX_EVENT_WAIT) : timeout)
    answer.on('data', (chunk: Buffer) => {
      chunks.push(chunk)
      size += chunk.length
      if (isEvents || size >= MAX_BODY) cut()
    })
    answer.on('end', finish)
    answer.on('error', (error) => {
      clearTimeout(timer)
      reject(error)
    })
  })
}
