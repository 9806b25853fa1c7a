/**
 * Settings that change how an authorization server is reached: over plain http at hosts that the settings name, or at
 * another origin than the issuer's. Comparisons do not change: `iss` and the `issuer` of metadata are compared as
 * names.
 *
 * Does NOT make a host safe: an attacker in the network between them can read and change the traffic.
 *
 * Tests: `test/issuer/reach.test.ts`.
 */

/** Hosts for plain http, as `host:port`. */
export type InsecureHosts = ReadonlySet<string>

export const NO_HOSTS: InsecureHosts = new Set()

/** `*.localhost` is not included: resolvers differ on such names. */
const LOOPBACK = /^(localhost|127(\.\d{1,3}){3}|\[::1\])$/
/** A host name or IP address, and a port. */
const HOST_AND_PORT = /^(?:[a-z\d._-]+|\[[\da-f:.]+\]):\d{1,5}$/

/** True for a URL that stays on this machine, where plain http is safe. */
export function isLoopback(url: URL): boolean {
  return LOOPBACK.test(url.hostname)
}

/** True for plain http to a host that the settings name. */
export function isInsecureHost(url: URL, hosts: InsecureHosts): boolean {
  return url.protocol === 'http:' && hosts.has(hostAndPort(url))
}

/** True for `host:port` as a URL spells it: lower case, an address in its usual form, no leading zero. */
export function isHostAndPort(text: string): boolean {
  const url = `http://${text}`
  return HOST_AND_PORT.test(text) && URL.canParse(url) && hostAndPort(new URL(url)) === text
}

/** `host:port` of a URL. `URL` omits the scheme's default port, so it is added here. */
export function hostAndPort({ hostname, port, protocol }: URL): string {
  return `${hostname}:${port || (protocol === 'https:' ? '443' : '80')}`
}

/** Warning printed once at start. */
export function insecureHostsWarning(hosts: InsecureHosts): string {
  return `\`http.insecureHosts\` names ${[...hosts].join(', ')}: tokens, keys and client secrets travel unencrypted there. An attacker in that network can read them, or replace the keys and sign any token. Use it only inside a network that you trust`
}

/** An issuer, and the origin where it is reached. */
export interface Reached {
  readonly issuer: string
  /** An origin. Undefined: the issuer's own origin. */
  readonly reachedAt?: string | undefined
}

/** Moves `url` to {@link Reached.reachedAt} if its origin is the issuer's; otherwise returns it unchanged. */
export function reach(url: string, { issuer, reachedAt }: Reached): string {
  if (reachedAt === undefined) return url
  const { origin, pathname, search } = new URL(url)
  return origin === new URL(issuer).origin ? reachedAt + pathname + search : url
}
