/**
 * What a route can ask of a verified access token: scopes (RFC 6749 §3.3), roles, claims, how and when its user authenticated
 * (RFC 9470), what exactly was authorized (RFC 9396), and that the authorization server stands by it this moment. A check
 * is a function that throws to refuse. The ones here also say what they need as data, so that challenges and metadata can
 * name it.
 *
 * Signature, algorithm, issuer, audience, time and sender are NOT policy: they were checked before, and no list of
 * checks can lose them.
 */
import { andThen } from '../base/awaitable.js'
import { Forbidden } from '../errors/errors.js'
import type { Access, Awaitable, Check, Claims, Waiver } from '../types.js'

/** The part of Standard Schema (version 1) that is used: zod, valibot and arktype schemas all have it. */
export interface StandardSchema {
  readonly '~standard': {
    readonly version: 1
    readonly vendor: string
    readonly validate: (value: unknown) => Awaitable<{ readonly issues?: readonly unknown[] | undefined }>
  }
}

/**
 * Requires the token's claims to satisfy a predicate or a Standard Schema; otherwise 403 without a challenge.
 * The schema only decides: what it would transform is not kept.
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

/** A misspelt word must not mean that nothing is required. */
export function requireKeys(name: string, given: object, known: readonly string[]): void {
  const unknown = Object.keys(given).find((key) => !known.includes(key))
  if (unknown !== undefined)
    throw new TypeError(`${name}(): ${unknown} is not an option; the options are ${known.join(', ')}`)
}

/**
 * Requires that the authorization server calls the token active *now*, past every cache, JWTs included: for a route where
 * a revocation of seconds ago must count, such as a payment. The checks of the route then see what it just said. An outage
 * is 503. Routes without it do not learn of what it was told about a JWT.
 *
 * Requests with one token that come while it is asked about share the next question, so a token has at most one question
 * under way. A JWT that lacks a scope or role of the route's `scope()`, `anyScope()`, `roles()` or `anyRole()` is refused
 * without asking: an answer can only take them away. All other checks run after the answer.
 *
 * Needs `introspection` for every issuer, also for one whose tokens are verified here (`tokens: 'jwt'`).
 */
export function fresh(): Check {
  const check = (): never => {
    throw new TypeError('Do not call the result of fresh(); pass it to protect(), authorize() or enforce()')
  }
  return Object.freeze(Object.assign(check, { fresh: true as const }))
}

/** Lets a request without credentials pass, as `undefined`. Credentials that are present must still be good. */
export const optional: Waiver = Object.freeze({ waives: 'absent credentials' })

/** Lets a CORS preflight pass, which by design has no credentials (Fetch standard). Mounting the CORS middleware first is better. */
export const skipPreflight: Waiver = Object.freeze({ waives: 'CORS preflight' })
