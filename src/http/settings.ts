/**
 * How this API reaches its authorization servers: the options of `http`, their defaults and their checks.
 *
 * Tests: `test/server/settings.test.ts`.
 */
import type { Problems } from '../base/options/problems.js'
import { type InsecureHosts, isHostAndPort, NO_HOSTS } from '../base/reach.js'
import { problemOfProxy, proxiesOfEnvironment } from './proxy.js'

/** The part of an undici `Dispatcher` that `http` needs, by shape, so that any version of undici fits. */
export interface HttpDispatcher {
  request(options: never): Promise<unknown>
}

/** How authorization servers are reached. Responses are read up to 256 KiB; redirects are not followed. */
export interface HttpOptions {
  /**
   * Your own undici `Agent`, `Pool`, `ProxyAgent` or `MockAgent`: for a private CA, a proxy, a test. `close()` does not
   * close it.
   */
  readonly dispatcher?: HttpDispatcher
  /** Seconds one attempt may take, from connect to the last byte. Default 3. */
  readonly timeout?: number
  /** Seconds all attempts may take together. Default 5. */
  readonly deadline?: number
  /**
   * Never connect to a private, local or reserved address, whatever host name resolves to it. Use it if issuer names
   * come from outside, such as from tenants. Cannot be combined with `dispatcher`. Default false; with an issuer
   * resolver, omitting it causes a warning at start.
   */
  readonly publicAddressesOnly?: boolean
  /**
   * Hosts to reach over plain http, each exactly as `host:port`: an authorization server in a network that you trust,
   * such as `keycloak:8080`. Tokens, keys and client secrets travel unencrypted there; a warning at start says so.
   * Cannot be combined with `publicAddressesOnly`. Default: none; http is accepted for loopback only.
   */
  readonly insecureHosts?: readonly string[]
  /**
   * An outbound proxy: its URL, such as `http://user:password@proxy.internal:3128`; or `'environment'` for
   * `HTTPS_PROXY`, `HTTP_PROXY` and `NO_PROXY` as undici reads them: lower case first, and HTTP_PROXY for https too if
   * HTTPS_PROXY is unset. Every request uses CONNECT, also for plain http; loopback addresses never use the proxy.
   * Cannot be combined with `dispatcher` or `publicAddressesOnly`. Default: no proxy, even if the environment names
   * one.
   */
  readonly proxy?: string
}

export interface HttpSettings {
  readonly dispatcher: HttpOptions['dispatcher']
  /** Seconds. */
  readonly timeout: number
  /** Seconds. */
  readonly deadline: number
  readonly publicAddressesOnly?: boolean
  readonly insecureHosts?: InsecureHosts
  /** `'environment'`, or a URL that may contain a password. */
  readonly proxy?: string | undefined
}

const HTTP_OPTIONS: Readonly<Record<keyof HttpOptions, true>> = {
  dispatcher: true,
  timeout: true,
  deadline: true,
  publicAddressesOnly: true,
  insecureHosts: true,
  proxy: true
}

/** Reads `http.proxy`. No message shows its value, which may contain a password. */
function readProxy({ proxy, dispatcher, publicAddressesOnly }: HttpOptions, problems: Problems): string | undefined {
  if (proxy === undefined) return undefined
  const option = 'http.proxy'
  const cure = "write 'environment', or an origin such as http://user:password@proxy.internal:3128"
  const problem = typeof proxy === 'string' ? proxy !== 'environment' && problemOfProxy(proxy) : 'is not a text'
  if (problem) problems.add(option, problem, cure)
  const wrong = proxy === 'environment' ? proxiesOfEnvironment().filter((one) => one.problem !== undefined) : []
  for (const one of wrong)
    problems.add(
      option,
      `is 'environment', and the variable ${one.name} ${one.problem}`,
      'write an origin there, such as http://proxy.internal:3128'
    )
  if (dispatcher !== undefined)
    problems.add(option, 'contradicts `http.dispatcher`, which makes the connections', 'leave one of them out')
  if (publicAddressesOnly)
    problems.add(
      option,
      'contradicts `http.publicAddressesOnly`: the proxy resolves names itself, so we cannot check the address',
      'leave one of them out'
    )
  return proxy
}

function readInsecureHosts(value: unknown, problems: Problems): InsecureHosts {
  if (value === undefined) return NO_HOSTS
  const option = 'http.insecureHosts'
  const list = problems.arrayOf<string>(value, option, 'string') ?? []
  if (Array.isArray(value) && value.length === 0) problems.add(option, 'is empty', 'name at least one, or leave it out')
  const cure =
    "write each as 'keycloak:8080', a name or an address in lower case with its port: no scheme, path, user name, wildcard or range"
  for (const one of list) if (!isHostAndPort(one)) problems.addValue(option, one, cure, 'holds')
  return insecureHostsOf(value)
}

export function insecureHostsOf(value: unknown): InsecureHosts {
  return Array.isArray(value) ? new Set(value.filter((one) => typeof one === 'string' && isHostAndPort(one))) : NO_HOSTS
}

export function readHttp(http: unknown, problems: Problems): HttpSettings {
  const empty: HttpOptions = {}
  const options = problems.object(http, 'http') ? (http as HttpOptions) : empty
  problems.unknownKeys(options, 'http.', Object.keys(HTTP_OPTIONS))
  if (options.dispatcher !== undefined && typeof options.dispatcher?.request !== 'function') {
    problems.add('http.dispatcher', 'is not an undici Dispatcher', 'pass a new Agent(…) of undici, or leave it out')
  }
  const publicAddressesOnly =
    problems.optional<boolean>(options.publicAddressesOnly, 'http.publicAddressesOnly', 'boolean') ?? false
  if (publicAddressesOnly && options.dispatcher !== undefined)
    problems.add(
      'http.publicAddressesOnly',
      'has no effect on `http.dispatcher`, which makes the connections',
      'leave one of them out'
    )
  const insecureHosts = readInsecureHosts(options.insecureHosts, problems)
  if (publicAddressesOnly && insecureHosts.size > 0)
    problems.add(
      'http.insecureHosts',
      'contradicts `http.publicAddressesOnly`: hosts for plain http have private addresses, which it never connects to',
      'leave one of them out'
    )
  return Object.freeze({
    dispatcher: options.dispatcher,
    publicAddressesOnly,
    insecureHosts,
    proxy: readProxy(options, problems),
    timeout: problems.number(options.timeout, 'http.timeout', { default: 3, min: 0.01, max: 60, unit: 'seconds' }),
    deadline: problems.number(options.deadline, 'http.deadline', { default: 5, min: 0.01, max: 120, unit: 'seconds' })
  })
}
