/**
 * The trusted issuers: a fixed list, or a resolver that knows them, asked before any network. A token selects exactly
 * one, by its unverified `iss` or, if opaque, by its prefix; that issuer's keys and rules alone then decide (RFC 8725 §3.8).
 */
import { isDeepStrictEqual } from 'node:util'
import { LRUCache } from 'lru-cache'
import { isPromise, withDeadline } from './awaitable.js'
import { createTimedCache } from './cache.js'
import { Misconfigured, Refusal, ResourceServerError, Unavailable } from './errors.js'
import type { Issuer } from './issuer.js'
import { type IssuerSettings, type Means, readIssuerOptions } from './issuer-settings.js'
import type { IssuerOptions, IssuerResolver } from './options.js'
import { Problems } from './problems.js'
import type { Awaitable } from './types.js'

export interface Issuers {
  /** The issuer for every token, whatever it looks like: a single one that introspects all. */
  readonly only: Issuer | undefined
  /** The issuer that this `iss` selects, or undefined if it is not trusted. */
  named(unverifiedIssuer: string): Awaitable<Issuer | undefined>
  /** The issuer to ask about this opaque token, or undefined if there is none. */
  forOpaque(token: string): Awaitable<Issuer | undefined>
  /** Seconds since the epoch until when an issuer is trusted without asking again. */
  trustedUntil(issuer: Issuer): number
  /** What `iss` may be; undefined where somebody is asked. */
  readonly names: readonly string[] | undefined
  /** Those known now: all of a list, of a resolver those that tokens have named lately. */
  known(): readonly Issuer[]
}

export function createStaticIssuers(
  settings: readonly IssuerSettings[],
  create: (settings: IssuerSettings) => Issuer
): Issuers {
  const issuers = settings.map(create)
  const byName = new Map(
    issuers.flatMap((issuer) => [...issuer.settings.acceptedIssuers].map((name) => [name, issuer] as const))
  )
  const introspecting = issuers.filter((issuer) => issuer.settings.tokens !== 'jwt')
  const prefix = (issuer: Issuer): string => issuer.settings.introspection?.tokenPrefix ?? ''
  // The one without a prefix, which fits everything, comes last.
  introspecting.sort((a, b) => prefix(b).length - prefix(a).length)
  const [first] = issuers
  return {
    only: issuers.length === 1 && first?.settings.tokens === 'opaque' && prefix(first) === '' ? first : undefined,
    named: (unverifiedIssuer) => byName.get(unverifiedIssuer),
    forOpaque: (token) => introspecting.find((issuer) => token.startsWith(prefix(issuer))),
    trustedUntil: () => Number.POSITIVE_INFINITY,
    names: Object.freeze([...byName.keys()]),
    known: () => issuers
  }
}

const MAX_ISSUERS = 1000
/** Seconds an answer of the resolver is remembered. */
const TRUSTED_FOR = 300
const REFUSED_FOR = 30
/** Names that are asked about at once: anybody can make one up. */
const MAX_PENDING = 256
/** A longer `iss` is not put to the resolver. */
const MAX_NAME_LENGTH = 2048

interface Resolved {
  /** What the resolver said, but for functions: a copy, since the object is its own to change. */
  readonly said: unknown
  readonly issuer: Issuer
}

export interface DynamicIssuersContext {
  readonly resource: string
  readonly now: () => number
  /** Seconds that the resolver may take. */
  readonly deadline: number
  readonly means?: Means
}

export function createDynamicIssuers(
  resolve: IssuerResolver,
  create: (settings: IssuerSettings) => Issuer,
  { resource, now, deadline, means }: DynamicIssuersContext
): Issuers {
  const trusted = createTimedCache<Issuer>(MAX_ISSUERS)
  const refused = createTimedCache<true>(MAX_ISSUERS)
  // Outlives `trusted`: an issuer that is confirmed again keeps its keys.
  const running = new LRUCache<string, Resolved>({ max: MAX_ISSUERS })
  const trustedUntil = new WeakMap<Issuer, number>()
  const pending = new Map<string, Promise<Issuer | undefined>>()

  const keep = (name: string, answer: string | IssuerOptions | null | undefined): Issuer | undefined => {
    const time = now()
    if (answer === undefined || answer === null) {
      running.delete(name)
      refused.set(name, true, time, time + REFUSED_FOR)
      return undefined
    }
    const settings = readAnswer(answer, resource, means)
    const said = withoutFunctions(answer)
    const issuer = revised(running.get(name), said, settings) ?? create(settings)
    running.set(name, { said, issuer })
    trusted.set(name, issuer, time, time + TRUSTED_FOR)
    trustedUntil.set(issuer, time + TRUSTED_FOR)
    return issuer
  }

  /** The issuer of before, where the answer says the same: made anew by a database, it is another object all the same. */
  const revised = (before: Resolved | undefined, said: unknown, settings: IssuerSettings): Issuer | undefined => {
    if (before === undefined || !isDeepStrictEqual(before.said, said)) return undefined
    // Functions are not compared, since they cannot be: those of now count, and all that is known stays.
    before.issuer.revise(settings)
    return before.issuer
  }

  const ask = (name: string, unverifiedIssuer: string | undefined): Awaitable<Issuer | undefined> => {
    const time = now()
    const known = trusted.get(name, time)
    if (known) return known
    if (refused.get(name, time)) return undefined
    const under = pending.get(name)
    if (under) return under
    if (pending.size >= MAX_PENDING)
      throw new Unavailable('issuer', 'too many issuers are being looked up', { retryAfter: 1 })
    try {
      const answer = resolve(unverifiedIssuer)
      if (!isPromise(answer)) return keep(name, answer)
      const late = (): Error => new Unavailable('issuer', `the issuer resolver did not answer within ${deadline} s`)
      const result = withDeadline(answer, deadline, late)
        .then((value) => keep(name, value), refuse)
        .finally(() => pending.delete(name))
      pending.set(name, result)
      return result
    } catch (cause) {
      return refuse(cause)
    }
  }

  return {
    only: undefined,
    named: (unverifiedIssuer) =>
      unverifiedIssuer.length > MAX_NAME_LENGTH ? undefined : ask(`iss ${unverifiedIssuer}`, unverifiedIssuer),
    forOpaque: () => ask('opaque', undefined),
    trustedUntil: (issuer) => trustedUntil.get(issuer) ?? Number.NEGATIVE_INFINITY,
    names: undefined,
    known: () => [...new Set([...running.values()].map(({ issuer }) => issuer))]
  }
}

/** A copy, with no more than a mark where a function is. */
function withoutFunctions(value: unknown): unknown {
  if (typeof value === 'function') return Function
  if (Array.isArray(value)) return value.map(withoutFunctions)
  if (typeof value !== 'object' || value === null) return value
  return Object.fromEntries(Object.entries(value).map(([name, member]) => [name, withoutFunctions(member)]))
}

/** @throws {Misconfigured} listing every problem of the answer */
function readAnswer(answer: string | IssuerOptions, resource: string, means: Means | undefined): IssuerSettings {
  const problems = new Problems('the issuer resolver')
  const settings = readIssuerOptions(answer, 'answer', resource, problems, means)
  if (problems.any) throw new Misconfigured(problems.error().message)
  return settings
}

/**
 * A resolver that throws. A refusal is no more than "not trusted": each request makes its own of it, since it is given
 * what that request's route advertises.
 */
function refuse(cause: unknown): undefined {
  if (cause instanceof Refusal) return undefined
  if (cause instanceof ResourceServerError) throw cause
  throw new Unavailable('issuer', 'the issuer resolver failed', { cause })
}
