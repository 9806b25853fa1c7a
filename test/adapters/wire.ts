/**
 * HTTP/1.1 on a bare socket. `fetch` joins the lines of a field, sorts them and refuses to send some; here a request
 * goes out as it is written, and an answer is seen line by line.
 */
import { once } from 'node:events'
import { createServer, type RequestListener } from 'node:http'
import { createServer as createTlsServer } from 'node:https'
import { type AddressInfo, connect } from 'node:net'
import { type ConnectionOptions, type TlsOptions, connect as tlsConnect } from 'node:tls'

export type Lines = readonly (readonly [name: string, value: string])[]

export interface RawRequest {
  readonly method?: string
  readonly path?: string
  readonly headers?: Lines
  readonly body?: string
  /** Announces this many bytes more than are sent: a body that never ends. */
  readonly missing?: number
}

export interface Reply {
  readonly status: number
  /** Every field line in order, names in lower case. */
  readonly lines: Lines
  readonly body: string
  /** The values of all lines with this name. */
  values(name: string): readonly string[]
}

/** Sends one request to `127.0.0.1`, over TLS if told how, and reads its answer, as soon as that is complete. */
export function send(port: number, request: RawRequest = {}, tls?: ConnectionOptions): Promise<Reply> {
  const { method = 'GET', path = '/', headers = [], body = '', missing = 0 } = request
  const length = Buffer.byteLength(body) + missing
  const fields: Lines = [
    ['Host', `127.0.0.1:${port}`],
    ['Connection', 'close'],
    ...(length > 0 ? [['Content-Length', String(length)] as const] : []),
    ...headers
  ]
  const head = [`${method} ${path} HTTP/1.1`, ...fields.map(([name, value]) => `${name}: ${value}`)]
  return new Promise((resolve, reject) => {
    const socket = tls ? tlsConnect({ host: '127.0.0.1', port, ...tls }) : connect(port, '127.0.0.1')
    let received = Buffer.alloc(0)
    const read = (ended: boolean): void => {
      const reply = readReply(received, method === 'HEAD', ended)
      if (reply === undefined) return
      socket.destroy()
      resolve(reply)
    }
    socket.on('error', reject)
    socket.on('data', (chunk) => {
      received = Buffer.concat([received, chunk])
      read(false)
    })
    socket.on('end', () => {
      read(true)
      reject(new Error(`the connection ended within an answer: ${received.toString()}`))
    })
    socket.write(`${head.join('\r\n')}\r\n\r\n${body}`)
  })
}

/** The answer in these bytes, or undefined while it is incomplete. */
function readReply(bytes: Buffer, toHead: boolean, ended: boolean): Reply | undefined {
  const end = bytes.indexOf('\r\n\r\n')
  if (end < 0) return undefined
  const [first = '', ...rest] = bytes.subarray(0, end).toString('latin1').split('\r\n')
  const status = Number(first.split(' ')[1])
  const lines = rest.map((line) => {
    const colon = line.indexOf(':')
    return [line.slice(0, colon).toLowerCase(), line.slice(colon + 1).trim()] as const
  })
  const values = (name: string): readonly string[] => lines.filter(([one]) => one === name).map(([, value]) => value)
  const content = bytes.subarray(end + 4)
  const body = toHead || status === 204 || status === 304 ? '' : readBody(content, values, ended)
  return body === undefined ? undefined : { status, lines, body, values }
}

function readBody(content: Buffer, values: (name: string) => readonly string[], ended: boolean): string | undefined {
  const [length] = values('content-length')
  if (length !== undefined) return content.length < Number(length) ? undefined : content.toString()
  if (!values('transfer-encoding').includes('chunked')) return ended ? content.toString() : undefined
  let body = ''
  let at = 0
  for (;;) {
    const line = content.indexOf('\r\n', at)
    if (line < 0) return undefined
    const size = Number.parseInt(content.subarray(at, line).toString(), 16)
    if (size === 0) return body
    body += content.subarray(line + 2, line + 2 + size).toString()
    at = line + 2 + size + 2
  }
}

/** A server that the tests can reach. */
export interface Served {
  readonly port: number
  close(): Promise<void>
}

/** Serves on a free port of 127.0.0.1, over TLS if told how. */
export async function listen(listener: RequestListener, tls?: TlsOptions): Promise<Served> {
  const server = tls ? createTlsServer(tls, listener) : createServer(listener)
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  return {
    port: (server.address() as AddressInfo).port,
    close: async () => {
      const closed = once(server, 'close')
      server.close()
      server.closeAllConnections()
      await closed
    }
  }
}
