/**
 * Requirements that a route can set for a verified access token: scopes (RFC 6749 §3.3), roles, claims, how and when
 * its user authenticated (RFC 9470), authorization details (RFC 9396), and confirmation by the authorization server
 * during the request. A check is a function that throws to refuse. The checks of this package also declare their needs
 * as data, so that challenges and metadata can name them.
 *
 * Signature, algorithm, issuer, audience, time and sender are NOT policy: they were checked earlier, whatever a route
 * requires.
 */
import { andThen } from '../base/awaitable.js'
import { meantOf, optionsError } from '../base/options/spelling.js'
import { Forbidden } from '../errors/errors.js'
import type { Access, Awaitable, Check, Claims, Waiver } from '../types.js'

/** The used part of Standard Schema (version 1), which zod, valibot and arktype schemas implement. */
export interface StandardSchema {
  readonly '~standard': {
    readonly version: 1
    readonly vendor: string
    readonly validate: (value: unknown) => Awaitable<{ readonly issues?: readonly unknown[] | undefined }>
  }
}

/**
 * Requires the token's claims to satisfy a predicate or a Standard Schema; otherwise 403 without a challenge. The
 * schema only decides: its transformed output is discarded.
 *
 * @throws {TypeError} at once, for a rule that is neither
 */
export function claims(rule: ((claims: Claims, access: Access) => Awaitable<boolean>) | StandardSchema): Check {
  if (typeof rule === 'function') {
    return (access) => andThen(rule(access.claims, access), (allowed) => requireAllowed(allowed === true))
  }
  if (typeof rule?.['~standard']?.validate !== 'function') {
    throw new TypeError('claims(): expected a function (claims) => boolean or a Standard Schema')
  }
  return (access) =>
    andThen(rule['~standard'].validate(access.claims), ({ issues }) => requireAllowed(issues === undefined, issues))
}

function requireAllowed(allowed: boolean, received?: unknown): void {
  if (!allowed) throw new Forbidden("The access token's claims do not allow this", { received })
}

/**
 * Rejects misspelt options, which would otherwise require nothing.
 *
 * @param name the function, for messages
 * @throws {TypeError} listing every name that is not an option, and the one that was probably meant
 */
export function requireKeys(name: string, given: object, known: readonly string[]): void {
  const unknown = Object.keys(given).filter((key) => !known.includes(key))
  const lines = unknown.map((key) => `- \`${key}\` is not an option: ${meantOf(key, known)}`)
  if (lines.length > 0) throw optionsError(`${name}()`, lines)
}

/**
 * Requires that the authorization server calls the token active *now*, without any cache. Applies to JWTs too. Use it
 * for a route where a revocation seconds ago must count, such as a payment. The route's checks see the new answer. An
 * outage is 503. For a JWT, routes without `fresh()` do not see that answer.
 *
 * Concurrent requests with one token share the next question, so each token has at most one question pending. A JWT
 * that lacks a scope or role of the route's `scope()`, `anyScope()`, `roles()` or `anyRole()` is refused without
 * asking, because the answer can only remove scopes and roles. All other checks run after the answer.
 *
 * Needs `introspection` for every issuer, including those with locally verified tokens (`tokens: 'jwt'`).
 */
export function fresh(): Check {
  const check = (): never => {
    throw new TypeError('Do not call the result of fresh(); pass it to protect(), authorize() or enforce()')
  }
  return Object.freeze(Object.assign(check, { fresh: true as const }))
}

/** Accepts a request without credentials; its access is `undefined`. Credentials that are present must be valid. */
export const optional: Waiver = Object.freeze({ waives: 'absent credentials' })

/**
 * Accepts a CORS preflight, which never carries credentials (Fetch standard). Mounting the CORS middleware first is
 * better.
 */
export const skipPreflight: Waiver = Object.freeze({ waives: 'CORS preflight' })
