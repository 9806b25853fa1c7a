/**
 * A proxy between a resource server and its authorization server, over TLS with a certificate of the test's own, that
 * spoils answers as told. What is not spoilt is the authorization server's own answer, byte for byte.
 */
import { once } from 'node:events'
import { type IncomingMessage, request as open, type ServerResponse } from 'node:http'
import { createServer } from 'node:https'
import type { AddressInfo } from 'node:net'
import { buffer } from 'node:stream/consumers'
import { gzipSync } from 'node:zlib'
import { createCertificateAuthority } from '../support/certificates.js'

export type Endpoint = 'metadata' | 'jwks' | 'introspection'

interface Answer {
  readonly status: number
  readonly headers: Readonly<Record<string, string>>
  readonly body: Buffer
}

/** Answers one request, well or badly. `ask` gets the authorization server's answer. */
export type Fault = (
  response: ServerResponse,
  ask: () => Promise<Answer>,
  endpoint: Endpoint | undefined,
  /** What the resource server sent. */
  body: () => Promise<string>
) => void | Promise<void>

export interface FaultProxy {
  readonly origin: string
  /** PEM of the authority that vouches for the proxy's certificate. */
  readonly ca: string
  /** Spoils every answer from now on, or with `undefined` none. Open connections end. */
  arm(fault: Fault | undefined): void
  /** Another certificate from now on: of the same authority, or of one that nobody knows. Open connections end. */
  changeCertificate(authority: 'same' | 'unknown'): void
  close(): Promise<void>
}

export function endpointOf(path: string): Endpoint | undefined {
  if (path.startsWith('/.well-known/')) return 'metadata'
  if (path.startsWith('/jwks')) return 'jwks'
  return path.includes('introspection') ? 'introspection' : undefined
}

export async function startFaultProxy(target: string): Promise<FaultProxy> {
  const authority = createCertificateAuthority()
  const stranger = createCertificateAuthority('Another authority')
  const name = { commonName: 'proxy', sans: ['127.0.0.1'] }
  let fault: Fault | undefined
  const server = createServer(authority.issue(name), (incoming, response) => {
    response.on('error', () => undefined)
    const sent = buffer(incoming)
    sent.catch(() => undefined)
    const ask = async (): Promise<Answer> => forward(incoming, await sent, target)
    const body = async (): Promise<string> => (await sent).toString()
    const answered = fault ? fault(response, ask, endpointOf(incoming.url ?? ''), body) : pass(response, ask)
    // The authorization server is down, or its answer was cut off: so is the client's connection.
    Promise.resolve(answered).catch(() => response.destroy())
  })
  server.on('tlsClientError', () => undefined)
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  return {
    origin: `https://127.0.0.1:${(server.address() as AddressInfo).port}`,
    ca: authority.cert,
    arm: (next) => {
      fault = next
      server.closeAllConnections()
    },
    changeCertificate: (whose) => {
      server.setSecureContext((whose === 'same' ? authority : stranger).issue(name))
      server.closeAllConnections()
    },
    close: async () => {
      const closed = once(server, 'close')
      server.close()
      server.closeAllConnections()
      await closed
    }
  }
}

async function forward(incoming: IncomingMessage, body: Buffer, target: string): Promise<Answer> {
  const { host, hostname, port } = new URL(target)
  const outgoing = open({
    hostname,
    port,
    path: incoming.url,
    method: incoming.method,
    headers: { ...incoming.headers, host, connection: 'close' }
  })
  outgoing.end(body)
  const [answer] = (await once(outgoing, 'response')) as [IncomingMessage]
  const chunks: Buffer[] = []
  for await (const chunk of answer) chunks.push(chunk as Buffer)
  const headers: Record<string, string> = {}
  for (const field of ['content-type', 'cache-control']) {
    const value = answer.headers[field]
    if (value !== undefined) headers[field] = String(value)
  }
  return { status: answer.statusCode ?? 0, headers, body: Buffer.concat(chunks) }
}

async function pass(response: ServerResponse, ask: () => Promise<Answer>): Promise<void> {
  const { status, headers, body } = await ask()
  send(response, status, headers, body)
}

function send(
  response: ServerResponse,
  status: number,
  headers: Readonly<Record<string, string | number>>,
  body: Buffer | string
): void {
  response.writeHead(status, { ...headers, 'content-length': Buffer.byteLength(body) }).end(body)
}

const JSON_TYPE = { 'content-type': 'application/json' }

/** Every answer after this many milliseconds. */
export function latency(milliseconds: number): Fault {
  return async (response, ask) => {
    await new Promise((resolve) => setTimeout(resolve, milliseconds))
    await pass(response, ask)
  }
}

/** Introspection fails for tokens that begin so; all other answers come after a while. */
export function failsFor(prefix: string, milliseconds: number): Fault {
  const late = latency(milliseconds)
  return async (response, ask, endpoint, body) =>
    endpoint === 'introspection' && (await body()).includes(`token=${prefix}`)
      ? send(response, 500, JSON_TYPE, '{"error":"server_error"}')
      : late(response, ask, endpoint, body)
}

/** Takes the request, and never answers. */
export const blackHole: Fault = () => undefined

export const reset: Fault = (response) => void response.destroy()

/** Header fields, then white space for ever. */
export const drip: Fault = (response) => {
  response.writeHead(200, JSON_TYPE)
  const timer = setInterval(() => response.write(' '), 20).unref()
  response.once('close', () => clearInterval(timer))
}

/** Half of the body that `Content-Length` promised. */
export const cut: Fault = async (response, ask) => {
  const { status, headers, body } = await ask()
  response.writeHead(status, { ...headers, 'content-length': body.length })
  response.write(body.subarray(0, body.length >> 1), () => response.socket?.destroySoon())
}

export function status(code: number, headers: Readonly<Record<string, string>> = {}): Fault {
  return (response) => send(response, code, { ...JSON_TYPE, ...headers }, '{"error":"scripted"}')
}

/** 64 MiB in 64 KiB, whatever the client accepts. */
export function gzipBomb(): Fault {
  const bomb = gzipSync(Buffer.alloc(64 * 1024 * 1024, ' '))
  return (response) => send(response, 200, { ...JSON_TYPE, 'content-encoding': 'gzip' }, bomb)
}

/** White space without end, as fast as it is read. */
export const flood: Fault = (response) => {
  response.writeHead(200, JSON_TYPE)
  const chunk = Buffer.alloc(65_536, ' ')
  const more = (): void => {
    while (!response.destroyed && response.write(chunk));
    if (!response.destroyed) response.once('drain', more)
  }
  more()
}

export const emptyJwks: Fault = (response, ask, endpoint) =>
  endpoint === 'jwks' ? send(response, 200, JSON_TYPE, '{"keys":[]}') : pass(response, ask)

/** Metadata that is another issuer's. */
export const wrongIssuer: Fault = async (response, ask, endpoint) => {
  if (endpoint !== 'metadata') return pass(response, ask)
  const { body } = await ask()
  const lie = { ...(JSON.parse(body.toString()) as object), issuer: 'https://other.example' }
  send(response, 200, JSON_TYPE, JSON.stringify(lie))
}
