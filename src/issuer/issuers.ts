/**
 * The trusted issuers: a fixed list, or a resolver that knows them, asked before any network. A token selects exactly
 * one, by its unverified `iss` or, if opaque, by its prefix; that issuer's keys and rules alone then decide (RFC 8725 §3.8).
 */
import { setImmediate } from 'node:timers'
import { isDeepStrictEqual } from 'node:util'
import { LRUCache } from 'lru-cache'
import { isPromise, withDeadline } from '../base/awaitable.js'
import { createTimedCache } from '../base/cache.js'
import { isAskedAsWritten, isHttp, withoutPath } from '../base/place.js'
import { type Mistakes, mistakesOf, Problems } from '../base/problems.js'
import { isWithin } from '../documents/source.js'
import { Misconfigured, Refusal, ResourceServerError, Unavailable } from '../errors/errors.js'
import type { Awaitable } from '../types.js'
import type { Issuer } from './issuer.js'
import type { IssuerOptions, IssuerResolver } from './settings.js'
import { type IssuerSettings, type Means, readIssuerOptions } from './settings.js'

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

/** Names that the resolver knows: the one used longest ago makes room. */
const MAX_ISSUERS = 1000

/** Seconds an answer of the resolver is remembered. */
const TRUSTED_FOR = 300

/** Seconds a known name is served past that, while the resolver is asked about it again. */
const STALE_FOR = 60

/** Seconds a refusal, or an answer that cannot be used, is remembered. */
const REFUSED_FOR = 30

/** Names that the resolver does not know and is asked about at once: anybody can make one up. Known names need no place. */
const MAX_STRANGERS = 256

/** A longer `iss` is not put to the resolver. */
const MAX_NAME_LENGTH = 2048

/** Different warnings about answers that were made of a token's `iss`. */
const MAX_WARNINGS = 10

/** What stands for the `iss` of an opaque token, which names none. No other name begins so. */
const OPAQUE = 'opaque'

interface Known {
  /** What the resolver said, but for functions: a copy, since the object is its own to change. */
  readonly said: unknown
  readonly issuer: Issuer
  /** Seconds since the epoch; infinitely long ago where the resolver has failed in another way than an outage since. */
  confirmedAt: number
}

/** What the resolver is asked about. */
interface Name {
  /** What it is remembered by. */
  readonly key: string
  readonly unverifiedIssuer: string | undefined
}

export interface DynamicIssuersContext {
  readonly resource: string
  readonly now: () => number
  /** Seconds that the resolver may take. */
  readonly deadline: number
  readonly means?: Means
  /** Told of an answer that could not be used, without any value of it. */
  readonly warn: (message: string) => void
}

export function createDynamicIssuers(
  resolve: IssuerResolver,
  create: (settings: IssuerSettings) => Issuer,
  { resource, now, deadline, means, warn }: DynamicIssuersContext
): Issuers {
  // An issuer outlives the time it is trusted: one that is confirmed again keeps its keys.
  const known = new LRUCache<string, Known>({ max: MAX_ISSUERS })
  const refused = createTimedCache<true>(MAX_ISSUERS)
  const failed = createTimedCache<Misconfigured>(MAX_ISSUERS)
  const trustedUntil = new WeakMap<Issuer, number>()
  const pending = new Map<string, Promise<Issuer | undefined>>()
  const warned = new Set<string>()
  let strangers = 0

  const refuse = ({ key }: Name): undefined => {
    const time = now()
    known.delete(key)
    refused.set(key, true, time, time + REFUSED_FOR)
  }

  /** The resolver has spoken, and did not confirm the name: it is not served until it is confirmed again. */
  const suspend = ({ key }: Name): void => {
    const entry = known.get(key)
    if (entry !== undefined) entry.confirmedAt = Number.NEGATIVE_INFINITY
  }

  /** @throws {Misconfigured} for {@link REFUSED_FOR} seconds, without another question */
  const fail = (name: Name, error: Misconfigured): never => {
    const time = now()
    suspend(name)
    failed.set(name.key, error, time, time + REFUSED_FOR)
    throw error
  }

  /** An answer with mistakes. What was made of the token's own `iss` is the token's fault; all else is ours. */
  const unusable = (name: Name, mistakes: Mistakes): undefined => {
    const { unverifiedIssuer } = name
    const { withoutValues } = mistakes
    if (unverifiedIssuer === undefined || !mistakes.isAllMadeOf(unverifiedIssuer))
      return fail(name, new Misconfigured(withoutValues, { received: unverifiedIssuer }))
    if (!warned.has(withoutValues) && warned.size < MAX_WARNINGS) {
      warned.add(withoutValues)
      warn(`the issuer resolver returned unusable options, so the tokens of that \`iss\` are refused: ${withoutValues}`)
    }
    return refuse(name)
  }

  const keep = (name: Name, answer: string | IssuerOptions | null | undefined): Issuer | undefined => {
    if (answer === undefined || answer === null) return refuse(name)
    const { settings, mistakes } = readAnswer(answer, resource, means)
    if (mistakes !== undefined) return unusable(name, mistakes)
    const said = withoutFunctions(answer)
    const issuer = revised(known.get(name.key), said, settings) ?? create(settings)
    const time = now()
    known.set(name.key, { said, issuer, confirmedAt: time })
    trustedUntil.set(issuer, time + TRUSTED_FOR)
    return issuer
  }

  /** Reuses the existing issuer if the answer is deep-equal: resolvers build a new object on each call. */
  const revised = (before: Known | undefined, said: unknown, settings: IssuerSettings): Issuer | undefined => {
    if (before === undefined || !isDeepStrictEqual(before.said, said)) return undefined
    // Functions are not compared, since they cannot be: those of now count, and all that is known stays.
    before.issuer.revise(settings)
    return before.issuer
  }

  /** A resolver that throws. Its refusal is not thrown on: each request makes its own, with what its route advertises. */
  const thrown = (name: Name, cause: unknown): undefined => {
    if (cause instanceof Refusal || isUnreadable(cause, name.unverifiedIssuer)) return refuse(name)
    const mistakes = mistakesOf(cause)
    if (mistakes !== undefined) return unusable(name, mistakes)
    if (cause instanceof Misconfigured) return fail(name, cause)
    if (cause instanceof Unavailable) throw cause
    if (!(cause instanceof ResourceServerError))
      throw new Unavailable('issuer', 'the issuer resolver failed', { cause })
    suspend(name)
    throw cause
  }

  const ask = (name: Name): Awaitable<Issuer | undefined> => {
    const { key, unverifiedIssuer } = name
    const isStranger = key !== OPAQUE && !known.has(key)
    if (isStranger && strangers >= MAX_STRANGERS)
      throw new Unavailable('issuer', 'too many issuers are being looked up', { retryAfter: 1 })
    let answer: ReturnType<IssuerResolver>
    try {
      answer = resolve(unverifiedIssuer)
    } catch (cause) {
      return thrown(name, cause)
    }
    if (!isPromise(answer)) return keep(name, answer)
    if (isStranger) strangers++
    const late = (): Error => new Unavailable('issuer', `the issuer resolver did not answer within ${deadline} s`)
    const result = withDeadline(answer, deadline, late)
      .then(
        (value) => keep(name, value),
        (cause: unknown) => thrown(name, cause)
      )
      .finally(() => {
        pending.delete(key)
        if (isStranger) strangers--
      })
    pending.set(key, result)
    return result
  }

  /** @returns {@link Issuer} where the resolver is in an outage, or does not answer within one turn of the event loop */
  const askAgain = (name: Name, { issuer }: Known): Awaitable<Issuer | undefined> => {
    const instead = (error: unknown): Issuer => {
      if (error instanceof Unavailable) return issuer
      throw error
    }
    try {
      const answer = pending.get(name.key) ?? ask(name)
      return isPromise(answer) ? Promise.race([answer.catch(instead), nextTurn(issuer)]) : answer
    } catch (error) {
      return instead(error)
    }
  }

  const find = (name: Name): Awaitable<Issuer | undefined> => {
    const time = now()
    const entry = known.get(name.key)
    const confirmedAt = entry?.confirmedAt ?? Number.NEGATIVE_INFINITY
    if (isWithin(time, confirmedAt, confirmedAt + TRUSTED_FOR)) return entry?.issuer
    const failure = failed.get(name.key, time)
    if (failure !== undefined) throw failure
    if (refused.get(name.key, time) || !isUsableName(name)) return undefined
    if (entry !== undefined && isWithin(time, confirmedAt, confirmedAt + TRUSTED_FOR + STALE_FOR))
      return askAgain(name, entry)
    return pending.get(name.key) ?? ask(name)
  }

  return {
    only: undefined,
    named: (unverifiedIssuer) =>
      unverifiedIssuer.length > MAX_NAME_LENGTH
        ? undefined
        : find({ key: `iss ${unverifiedIssuer}`, unverifiedIssuer }),
    forOpaque: () => find({ key: OPAQUE, unverifiedIssuer: undefined }),
    trustedUntil: (issuer) => trustedUntil.get(issuer) ?? Number.NEGATIVE_INFINITY,
    names: undefined,
    known: () => [...new Set([...known.values()].map(({ issuer }) => issuer))]
  }
}

/** A URL must be one that is asked as it is written, before a resolver compares or extends its text; any other text is only a name. */
function isUsableName({ unverifiedIssuer }: Name): boolean {
  return unverifiedIssuer === undefined || !isHttp(unverifiedIssuer) || isAskedAsWritten(unverifiedIssuer)
}

/** True for what `new URL(iss)` throws in a resolver: a name that cannot be read is a name that is not known. */
function isUnreadable(cause: unknown, unverifiedIssuer: string | undefined): boolean {
  const { code, input } = Object(cause) as { readonly code?: unknown; readonly input?: unknown }
  return code === 'ERR_INVALID_URL' && unverifiedIssuer !== undefined && input === unverifiedIssuer
}

async function nextTurn<T>(value: T): Promise<T> {
  return new Promise((resolve) => setImmediate(resolve, value))
}

/** A copy, with no more than a mark where a function is. */
function withoutFunctions(value: unknown): unknown {
  if (typeof value === 'function') return Function
  if (Array.isArray(value)) return value.map(withoutFunctions)
  if (typeof value !== 'object' || value === null) return value
  return Object.fromEntries(Object.entries(value).map(([name, member]) => [name, withoutFunctions(member)]))
}

/** The settings, which messages name without a path; or what is wrong with the answer. */
function readAnswer(
  answer: string | IssuerOptions,
  resource: string,
  means: Means | undefined
): { readonly settings: IssuerSettings; readonly mistakes?: Mistakes | undefined } {
  const problems = new Problems('the issuer resolver')
  const settings = readIssuerOptions(answer, 'answer', resource, problems, means)
  if (problems.any) return { settings, mistakes: mistakesOf(problems.error()) }
  return { settings: Object.freeze({ ...settings, label: withoutPath(settings.issuer) }) }
}

/**
 * Loads metadata and keys anew, of all that are known or of one, whatever it is called: where issuers are looked up, each of
 * its names has keys of its own.
 *
 * @param senders of events, which are not among the issuers
 * @throws {TypeError} nobody is called so
 * @throws the first failure, after all were tried
 */
export async function refresh(issuers: Issuers, senders: readonly Issuer[], name: string | undefined): Promise<void> {
  const named = name === undefined ? undefined : await issuers.named(name)
  const meant = [...issuers.known(), ...senders].filter(
    ({ settings }) => name === undefined || settings.acceptedIssuers.has(name)
  )
  const chosen = new Set(named ? [named, ...meant] : meant)
  if (name !== undefined && chosen.size === 0)
    throw new TypeError(
      'refresh(): `issuer` is not an issuer that this server accepts: write exactly the `iss` of the tokens'
    )
  const attempts = await Promise.allSettled([...chosen].map((issuer) => issuer.refresh()))
  const failure = attempts.find((one) => one.status === 'rejected')
  if (failure) throw failure.reason
}
