/**
 * Outbound requests through an HTTP proxy: undici's `ProxyAgent` and `EnvHttpProxyAgent`, with a time limit for every
 * step and a message for each step that fails. Every exchange uses CONNECT (RFC 9110 §9.3.6), also for plain http, so
 * the proxy sees no token sent to an https server. Loopback never uses the proxy: there it would mean the proxy's own
 * machine.
 *
 * The only module that reads the environment, and only the proxy variables. No message shows their values.
 */
import { isLoopback } from '../base/reach.js'

type Undici = Pick<typeof import('undici'), 'Agent' | 'EnvHttpProxyAgent' | 'Pool' | 'ProxyAgent'>

/** The variables that curl and undici read; lower case takes precedence. */
const VARIABLES = { http: ['http_proxy', 'HTTP_PROXY'], https: ['https_proxy', 'HTTPS_PROXY'] } as const

/** The proxy did not let the request through, so the server did not get it. */
export class ProxyFailure extends Error {
  override readonly name = 'ProxyFailure'
}

/** The part of undici's dispatchers that we use. */
interface Dispatcher {
  // biome-ignore lint/suspicious/noExplicitAny: it is handed on
  request(options: any): Promise<any>
  destroy(): Promise<void>
}

export interface ProxiedDispatcher extends Dispatcher {
  /** True while a proxy has not answered CONNECT for this URL's host. */
  waitsForProxy(url: string): boolean
}

/**
 * @param proxy    `'environment'`, or a URL
 * @param timeout milliseconds for each step: connecting to the proxy, its answer to CONNECT, TLS with the server
 */
export function createProxied(undici: Undici, proxy: string, timeout: number): ProxiedDispatcher {
  const waiting = new Map<string, number>()
  const count = (host: string, more: number): void => {
    const left = (waiting.get(host) ?? 0) + more
    if (left > 0) waiting.set(host, left)
    else waiting.delete(host)
  }
  const options = {
    connect: { timeout },
    proxyTls: { timeout },
    requestTls: { timeout },
    clientFactory: (origin: URL, more: object) =>
      createTunnels(undici, origin, { ...more, headersTimeout: timeout }, count)
  }
  const proxied: Dispatcher =
    proxy === 'environment' ? new undici.EnvHttpProxyAgent(options) : new undici.ProxyAgent({ ...options, uri: proxy })
  const direct: Dispatcher = new undici.Agent({ connect: options.connect })
  return {
    request: (exchange: { readonly origin: string }) =>
      (isLoopback(new URL(exchange.origin)) ? direct : proxied).request(exchange),
    destroy: async () => void (await Promise.all([proxied.destroy(), direct.destroy()])),
    waitsForProxy: (url) => waiting.has(connectTarget(url))
  }
}

/** The host as CONNECT names it: always with its port. */
function connectTarget(url: string): string {
  const { host, port, protocol } = new URL(url)
  return port ? host : `${host}:${protocol === 'https:' ? 443 : 80}`
}

type Pool = InstanceType<Undici['Pool']>

/** A pool of connections to the proxy. Its failures are reported as failures of the proxy. */
function createTunnels(
  { Pool }: Undici,
  proxy: URL,
  options: object,
  count: (host: string, more: 1 | -1) => void
): Pool {
  const pool = new Pool(proxy.origin, options)
  const open = pool.connect.bind(pool) as (to: { readonly path: string }) => Promise<Tunnel>
  const connect = async (to: { readonly path: string }): Promise<Tunnel> => {
    count(to.path, 1)
    try {
      const tunnel = await open(to)
      if (tunnel.statusCode === 200) return tunnel
      tunnel.socket.on('error', () => undefined).destroy()
      throw new ProxyFailure(refusalOf(tunnel.statusCode))
    } catch (cause) {
      // Hides undici's own error code: with it, undici would reconnect for as long as the request waits.
      throw cause instanceof ProxyFailure
        ? cause
        : new ProxyFailure('could not be reached, or closed the connection', { cause })
    } finally {
      count(to.path, -1)
    }
  }
  return Object.assign(pool, { connect: connect as unknown as Pool['connect'] })
}

interface Tunnel {
  readonly statusCode: number
  readonly socket: { on(event: 'error', listener: () => void): { destroy(): void } }
}

function refusalOf(status: number): string {
  const answered = `answered ${status} to CONNECT`
  if (status === 407) return `${answered}: it requires a user name and a password, or rejects these`
  if (status === 403 || status === 405) return `${answered}: it does not let this API reach that host and port`
  return status >= 500 ? `${answered}: it could not reach the server` : answered
}

/** Why a text is not a usable proxy URL; undefined if it is. */
export function problemOfProxy(text: string): string | undefined {
  const url = URL.canParse(text) ? new URL(text) : undefined
  if (!url || !/^https?:$/.test(url.protocol)) return 'is not an http or https URL'
  if (url.pathname !== '/' || url.search !== '' || url.hash !== '') return 'has a path, a query or a fragment'
  if ((url.username === '') !== (url.password === ''))
    return 'has a user name without a password, or a password without a user name'
  try {
    decodeURIComponent(url.username + url.password)
    return undefined
  } catch {
    return 'has a % in its user name or password that does not begin a valid encoding'
  }
}

/** The environment variables that name a proxy, with the problem of each, if any. */
export function proxiesOfEnvironment(): readonly { readonly name: string; readonly problem: string | undefined }[] {
  return Object.values(VARIABLES).flatMap((names) => {
    const name = variableOf(names)
    const value = name && process.env[name]
    return name && value ? [{ name, problem: problemOfProxy(value) }] : []
  })
}

/** The variable that names a proxy for this URL, for messages where no proxy is configured; undefined for loopback. */
export function unusedProxy(url: string): string | undefined {
  const parsed = new URL(url)
  if (isLoopback(parsed)) return undefined
  const name = variableOf(VARIABLES[parsed.protocol === 'https:' ? 'https' : 'http'])
  return name && process.env[name] ? name : undefined
}

function variableOf(names: readonly string[]): string | undefined {
  return names.find((name) => process.env[name] !== undefined)
}
