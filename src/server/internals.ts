/**
 * Internal parts that a resource server shares with its event receivers: connections, clock, limits and warnings. Not
 * part of the public interface, and not reachable from it.
 *
 * Tests: `test/rfc/rfc8935-set.test.ts`.
 */

import type { InsecureHosts } from '../base/reach.js'
import type { Issuer } from '../issuer/issuer.js'
import type { IssuerSettings } from '../issuer/settings.js'
import type { VerifySignature } from '../jwt/verify-signature.js'
import type { Revocation } from '../revocation/revocation.js'

export interface Internals {
  readonly resource: string
  readonly now: () => number
  /** Maximum seconds for a callback that the user configured. */
  readonly deadline: number
  /** Creates an issuer whose keys `refresh()` fetches too. */
  readonly createIssuer: (settings: IssuerSettings) => Issuer
  /** `http.insecureHosts`. */
  readonly insecureHosts: InsecureHosts
  /** True for an `iss` that this server accepts in tokens. With a resolver function, true for any. */
  readonly accepts: (issuer: string) => boolean
  readonly verifySignature: VerifySignature
  readonly warning: (issuer: string, message: string) => void
  /** Revokes without requiring an accepted issuer: an event may concern other APIs too. */
  readonly revoke: (revocations: readonly Revocation[]) => Promise<void>
}

/** Key of the internals. The property is not enumerable, so printing or copying the server omits it. */
const INTERNALS = Symbol('internals')

export function lend(server: object, internals: Internals): void {
  Object.defineProperty(server, INTERNALS, { value: internals })
}

/** @throws {TypeError} the first argument is not what `resourceServer()` returned */
export function borrow(server: object, caller: string): Internals {
  const internals = (server as { readonly [INTERNALS]?: Internals } | undefined)?.[INTERNALS]
  if (internals === undefined)
    throw new TypeError(`${caller}: the first argument must be the object that resourceServer() returned`)
  return internals
}
