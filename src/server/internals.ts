/**
 * What a resource server lends to the receivers of events that are made for it, so that they share its connections, its
 * clock, its bounds and its warnings. Not part of the public interface, and not reachable from it.
 */

import type { InsecureHosts } from '../base/reach.js'
import type { Issuer } from '../issuer/issuer.js'
import type { IssuerSettings } from '../issuer/settings.js'
import type { VerifySignature } from '../jwt/verify-signature.js'
import type { Revocation } from '../revocation/revocation.js'

export interface Internals {
  readonly resource: string
  readonly now: () => number
  /** Seconds that a function of the user's may take. */
  readonly deadline: number
  /** One whose keys `refresh()` fetches too. */
  readonly createIssuer: (settings: IssuerSettings) => Issuer
  /** `http.insecureHosts`. */
  readonly insecureHosts: InsecureHosts
  /** True for an `iss` that tokens may have here; where issuers are looked up, for any. */
  readonly accepts: (issuer: string) => boolean
  readonly verifySignature: VerifySignature
  readonly warning: (issuer: string, message: string) => void
  /** Without the guard against names that nobody here accepts: an event may be about other APIs too. */
  readonly revoke: (revocations: readonly Revocation[]) => Promise<void>
}

/** The key under which a server holds its internals: not enumerable, so that nothing prints or copies them. */
const INTERNALS = Symbol('internals')

export function lend(server: object, internals: Internals): void {
  Object.defineProperty(server, INTERNALS, { value: internals })
}

/** @throws {TypeError} the first argument is not what `resourceServer()` returned */
export function borrow(server: object, caller: string): Internals {
  const internals = (server as { readonly [INTERNALS]?: Internals } | undefined)?.[INTERNALS]
  if (internals === undefined)
    throw new TypeError(`${caller}: the first argument must be what resourceServer() returned`)
  return internals
}
