/**
 * The trusted issuers: a fixed list, or the answers of a resolver, which is called before any network request. A token
 * selects exactly one issuer: a JWT by its unverified `iss`, an opaque token by its prefix. After that, only the keys
 * and rules of that issuer count (RFC 8725 §3.8).
 */

import { isDeepStrictEqual } from 'node:util'
import { isPromise, withDeadline } from '../base/awaitable.js'
import { MAX_NAME_LENGTH } from '../base/bounds.js'
import { createRecentCache, createTimedCache } from '../base/cache.js'
import { type Mistakes, mistakesOf, Problems } from '../base/options/problems.js'
import { isAskedAsWritten, isHttp, withoutPath } from '../base/place.js'
import { world } from '../base/world.js'
import { isWithin } from '../documents/source.js'
import { Misconfigured, Refusal, ResourceServerError, Unavailable } from '../errors/errors.js'
import type { Awaitable } from '../types.js'
import type { Issuer } from './issuer.js'
import type { IssuerOptions, IssuerResolver } from './settings.js'
import { type IssuerSettings, type Means, readIssuerOptions } from './settings.js'

export interface Issuers {
  /** The issuer that introspects every token, in any format. Set only if there is no other issuer. */
  readonly only: Issuer | undefined
  /** The issuer that this `iss` selects, or undefined if it is not trusted. */
  named(unverifiedIssuer: string): Awaitable<Issuer | undefined>
  /** The issuer that this `iss` selects, if it is known already: calls no resolver. */
  recall(unverifiedIssuer: string): Issuer | undefined
  /** The issuer to ask about this opaque token, or undefined if no issuer introspects it. */
  forOpaque(token: string): Awaitable<Issuer | undefined>
  /** Seconds since the epoch until when an issuer is trusted without another call of the resolver. */
  trustedUntil(issuer: Issuer): number
  /** Every accepted `iss`; undefined with a resolver. */
  readonly names: readonly string[] | undefined
  /** Issuers known now: all of a fixed list; with a resolver, those that tokens have named lately. */
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
  // An issuer without a prefix matches every token, so it comes last.
  introspecting.sort((a, b) => prefix(b).length - prefix(a).length)
  const [first] = issuers
  return {
    only: issuers.length === 1 && first?.settings.tokens === 'opaque' && prefix(first) === '' ? first : undefined,
    named: (unverifiedIssuer) => byName.get(unverifiedIssuer),
    recall: (unverifiedIssuer) => byName.get(unverifiedIssuer),
    forOpaque: (token) => introspecting.find((issuer) => token.startsWith(prefix(issuer))),
    trustedUntil: () => Number.POSITIVE_INFINITY,
    names: Object.freeze([...byName.keys()]),
    known: () => issuers
  }
}

/** Maximum names remembered as trusted; the least recently used is evicted. */
const MAX_ISSUERS = 1000

/** Seconds for which an answer of the resolver is trusted. */
const TRUSTED_FOR = 300

/** Further seconds, after {@link TRUSTED_FOR}, for which a known name is used while the resolver is called again. */
const STALE_FOR = 60

/** Seconds for which a refusal, or an unusable answer, is remembered. */
const REFUSED_FOR = 30

/** Maximum concurrent questions about unknown names: an attacker can make names up. Known names are not counted. */
const MAX_STRANGERS = 256

/** Maximum different warnings about unusable answers that the resolver derived from a token's `iss`. */
const MAX_WARNINGS = 10

/** Cache key of opaque tokens, which carry no `iss`. No other key begins with it. */
const OPAQUE = 'opaque'

/** An issuer that the resolver answered. */
interface Known {
  /** A copy of the resolver's answer without its functions: the resolver may change its own object. */
  readonly said: unknown
  readonly issuer: Issuer
  /** Seconds since the epoch; negative infinity if the resolver has failed since, other than by an outage. */
  confirmedAt: number
}

/** The subject of a question to the resolver. */
interface Name {
  /** The cache key. */
  readonly key: string
  /** undefined for opaque tokens. */
  readonly unverifiedIssuer: string | undefined
}

function nameOf(unverifiedIssuer: string): Name {
  return { key: `iss ${unverifiedIssuer}`, unverifiedIssuer }
}

type Answer = string | IssuerOptions | null | undefined

export interface DynamicIssuersContext {
  readonly resource: string
  readonly now: () => number
  /** Maximum seconds for an answer of the resolver. */
  readonly deadline: number
  readonly means?: Means
  /** Called for an answer that could not be used, without any value of the answer. */
  readonly warn: (message: string) => void
}

/** Issuers that `resolve` names, each made by `create` when the resolver first answers it. */
export function createDynamicIssuers(
  resolve: IssuerResolver,
  create: (settings: IssuerSettings) => Issuer,
  context: DynamicIssuersContext
): Issuers {
  return new DynamicIssuers(resolve, new Answers(create, context), context)
}

/** Decides when to call the resolver, and shares each call among the tokens that wait for it. */
class DynamicIssuers implements Issuers {
  readonly only = undefined
  readonly names = undefined
  private readonly resolve: IssuerResolver
  private readonly answers: Answers
  private readonly context: DynamicIssuersContext
  private readonly pending = new Map<string, Promise<Issuer | undefined>>()
  /** Questions about unknown names that are under way. */
  private strangers = 0

  constructor(resolve: IssuerResolver, answers: Answers, context: DynamicIssuersContext) {
    this.resolve = resolve
    this.answers = answers
    this.context = context
  }

  named(unverifiedIssuer: string): Awaitable<Issuer | undefined> {
    return unverifiedIssuer.length > MAX_NAME_LENGTH ? undefined : this.find(nameOf(unverifiedIssuer))
  }

  recall(unverifiedIssuer: string): Issuer | undefined {
    return this.answers.known(nameOf(unverifiedIssuer))?.issuer
  }

  forOpaque(): Awaitable<Issuer | undefined> {
    return this.find({ key: OPAQUE, unverifiedIssuer: undefined })
  }

  trustedUntil(issuer: Issuer): number {
    return this.answers.trustedUntil(issuer)
  }

  known(): readonly Issuer[] {
    return this.answers.issuers()
  }

  private find(name: Name): Awaitable<Issuer | undefined> {
    const time = this.context.now()
    const entry = this.answers.known(name)
    const confirmedAt = entry?.confirmedAt ?? Number.NEGATIVE_INFINITY
    if (isWithin(time, confirmedAt, confirmedAt + TRUSTED_FOR)) return entry?.issuer
    this.answers.rethrow(name, time)
    if (this.answers.isRefused(name, time) || !isUsableName(name)) return undefined
    if (entry !== undefined && isWithin(time, confirmedAt, confirmedAt + TRUSTED_FOR + STALE_FOR))
      return this.askAgain(name, entry)
    return this.pending.get(name.key) ?? this.ask(name)
  }

  /** @returns the known issuer if the resolver has an outage or does not answer within one turn of the event loop */
  private askAgain(name: Name, { issuer }: Known): Awaitable<Issuer | undefined> {
    const instead = (error: unknown): Issuer => {
      if (error instanceof Unavailable) return issuer
      throw error
    }
    try {
      const answer = this.pending.get(name.key) ?? this.ask(name)
      return isPromise(answer) ? Promise.race([answer.catch(instead), nextTurn(issuer)]) : answer
    } catch (error) {
      return instead(error)
    }
  }

  private ask(name: Name): Awaitable<Issuer | undefined> {
    const isStranger = name.key !== OPAQUE && this.answers.known(name) === undefined
    if (isStranger && this.strangers >= MAX_STRANGERS)
      throw new Unavailable('issuer', 'too many issuers are being looked up', { retryAfter: 1 })
    // Called on its own, so that the user's function does not receive this object as `this`.
    const { resolve } = this
    let answer: ReturnType<IssuerResolver>
    try {
      answer = resolve(name.unverifiedIssuer)
    } catch (cause) {
      return this.answers.thrown(name, cause)
    }
    return isPromise(answer) ? this.wait(name, answer, isStranger) : this.answers.keep(name, answer)
  }

  private wait(name: Name, answer: Promise<Answer>, isStranger: boolean): Promise<Issuer | undefined> {
    const { deadline } = this.context
    if (isStranger) this.strangers++
    const late = (): Error => new Unavailable('issuer', `the issuer resolver did not answer within ${deadline} s`)
    const result = withDeadline(answer, deadline, late)
      .then(
        (value) => this.answers.keep(name, value),
        (cause: unknown) => this.answers.thrown(name, cause)
      )
      .finally(() => {
        this.pending.delete(name.key)
        if (isStranger) this.strangers--
      })
    this.pending.set(name.key, result)
    return result
  }
}

/** Reads what the resolver returns or throws, and remembers it for a bounded time. */
class Answers {
  private readonly create: (settings: IssuerSettings) => Issuer
  private readonly context: DynamicIssuersContext
  /** An issuer stays here after its trust ends: if the resolver confirms it later, it still has its keys. */
  private readonly entries = createRecentCache<Known>(MAX_ISSUERS)
  private readonly refused = createTimedCache<true>(MAX_ISSUERS)
  private readonly failed = createTimedCache<Misconfigured>(MAX_ISSUERS)
  private readonly trusted = new WeakMap<Issuer, number>()
  private readonly warned = new Set<string>()

  constructor(create: (settings: IssuerSettings) => Issuer, context: DynamicIssuersContext) {
    this.create = create
    this.context = context
  }

  issuers(): readonly Issuer[] {
    return [...new Set([...this.entries.values()].map(({ issuer }) => issuer))]
  }

  trustedUntil(issuer: Issuer): number {
    return this.trusted.get(issuer) ?? Number.NEGATIVE_INFINITY
  }

  known({ key }: Name): Known | undefined {
    return this.entries.get(key)
  }

  isRefused({ key }: Name, time: number): boolean {
    return this.refused.get(key, time) === true
  }

  /** @throws {Misconfigured} the resolver failed about this name less than {@link REFUSED_FOR} seconds ago */
  rethrow({ key }: Name, time: number): void {
    const failure = this.failed.get(key, time)
    if (failure !== undefined) throw failure
  }

  /** Takes an answer of the resolver. @returns the issuer, or undefined for a refusal */
  keep(name: Name, answer: Answer): Issuer | undefined {
    if (answer === undefined || answer === null) return this.refuse(name)
    const { resource, means, now } = this.context
    const { settings, mistakes } = readAnswer(answer, resource, means)
    if (mistakes !== undefined) return this.unusable(name, mistakes)
    const said = withoutFunctions(answer)
    const issuer = revised(this.known(name), said, settings) ?? this.create(settings)
    const time = now()
    this.entries.set(name.key, { said, issuer, confirmedAt: time })
    this.trusted.set(issuer, time + TRUSTED_FOR)
    return issuer
  }

  /**
   * Takes what the resolver threw. A refusal is not thrown again: each request makes its own, with the challenge of its
   * route.
   */
  thrown(name: Name, cause: unknown): undefined {
    if (cause instanceof Refusal || isUnreadable(cause, name.unverifiedIssuer)) return this.refuse(name)
    const mistakes = mistakesOf(cause)
    if (mistakes !== undefined) return this.unusable(name, mistakes)
    if (cause instanceof Misconfigured) return this.fail(name, cause)
    if (cause instanceof Unavailable) throw cause
    if (!(cause instanceof ResourceServerError))
      throw new Unavailable('issuer', 'the issuer resolver failed', { cause })
    this.suspend(name)
    throw cause
  }

  private refuse({ key }: Name): undefined {
    const time = this.context.now()
    this.entries.delete(key)
    this.refused.set(key, true, time, time + REFUSED_FOR)
  }

  /** The resolver answered without confirming the name, so the issuer is not served until an answer confirms it. */
  private suspend(name: Name): void {
    const entry = this.known(name)
    if (entry !== undefined) entry.confirmedAt = Number.NEGATIVE_INFINITY
  }

  /** @throws {Misconfigured} `error`, now and for {@link REFUSED_FOR} seconds without another call of the resolver */
  private fail(name: Name, error: Misconfigured): never {
    const time = this.context.now()
    this.suspend(name)
    this.failed.set(name.key, error, time, time + REFUSED_FOR)
    throw error
  }

  /** Takes an answer with mistakes. The token is refused if all of them come from its own `iss`; otherwise they are ours. */
  private unusable(name: Name, mistakes: Mistakes): undefined {
    const { unverifiedIssuer } = name
    const { withoutValues } = mistakes
    if (unverifiedIssuer === undefined || !mistakes.isAllMadeOf(unverifiedIssuer))
      return this.fail(name, new Misconfigured(withoutValues, { received: unverifiedIssuer }))
    if (!this.warned.has(withoutValues) && this.warned.size < MAX_WARNINGS) {
      this.warned.add(withoutValues)
      this.context.warn(
        `the issuer resolver returned unusable options, so the tokens of that \`iss\` are refused: ${withoutValues}`
      )
    }
    return this.refuse(name)
  }
}

/** Reuses the existing issuer if the answer is deep-equal: resolvers build a new object on each call. */
function revised(before: Known | undefined, said: unknown, settings: IssuerSettings): Issuer | undefined {
  if (before === undefined || !isDeepStrictEqual(before.said, said)) return undefined
  // Functions cannot be compared. The issuer takes those of the latest answer, and keeps its documents and keys.
  before.issuer.revise(settings)
  return before.issuer
}

/**
 * False for an empty name, which no issuer has, and for a URL that would be requested differently from how it is written: a resolver
 * may compare or extend its text. Any other text is only a name.
 */
function isUsableName({ unverifiedIssuer }: Name): boolean {
  if (unverifiedIssuer === '') return false
  return unverifiedIssuer === undefined || !isHttp(unverifiedIssuer) || isAskedAsWritten(unverifiedIssuer)
}

/** True for the error that `new URL(iss)` throws in a resolver: a name that cannot be parsed is an unknown name. */
function isUnreadable(cause: unknown, unverifiedIssuer: string | undefined): boolean {
  const { code, input } = Object(cause) as { readonly code?: unknown; readonly input?: unknown }
  return code === 'ERR_INVALID_URL' && unverifiedIssuer !== undefined && input === unverifiedIssuer
}

async function nextTurn<T>(value: T): Promise<T> {
  return new Promise((resolve) => world.soon(() => resolve(value)))
}

/** A copy in which every function is replaced by the same mark. */
function withoutFunctions(value: unknown): unknown {
  if (typeof value === 'function') return Function
  if (Array.isArray(value)) return value.map(withoutFunctions)
  if (typeof value !== 'object' || value === null) return value
  return Object.fromEntries(Object.entries(value).map(([name, member]) => [name, withoutFunctions(member)]))
}

/** The settings, whose label in messages has no path, or the mistakes of the answer. */
function readAnswer(
  answer: string | IssuerOptions,
  resource: string,
  means: Means | undefined
): { readonly settings: IssuerSettings; readonly mistakes?: Mistakes | undefined } {
  const problems = new Problems('the issuer resolver', true)
  const settings = readIssuerOptions(answer, 'answer', resource, problems, means)
  if (problems.any) return { settings, mistakes: mistakesOf(problems.error()) }
  return { settings: Object.freeze({ ...settings, label: withoutPath(settings.issuer) }) }
}

/**
 * Reloads metadata and keys of all known issuers, or of those that accept `name`: with a resolver, each name of an issuer
 * has keys of its own.
 *
 * @param senders  issuers of security events, which `issuers` does not hold
 * @throws {TypeError} no issuer accepts `name`
 * @throws the first failure, after all reloads were tried
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
