/**
 * What authorization servers lately said of tokens, each answer for a few seconds and never past the token's `exp`: the
 * time a revocation may go unseen. One question at a time about each token; a later one asks past all of it. Where
 * processes share a store they share answers too, none of which lives longer for it.
 *
 * Does NOT check what an answer says: a token that was called active may be for another API.
 */
import { hash } from 'node:crypto'
import { type CacheStats, createTimedCache, createTokenCache } from './cache.js'
import { type IntrospectionMeans, introspect } from './introspection.js'
import type { Issuer } from './issuer.js'
import type { Shared } from './shared.js'
import { createSharedAnswers, type SharedAnswer } from './shared-answers.js'
import type { Awaitable, Claims } from './types.js'
import type { VerifiedAccessToken } from './verified-access-token.js'

const MAX_ACTIVE = 10_000
const MAX_INACTIVE = 1000
/** Seconds that "not active" is remembered. */
const INACTIVE_FOR = 10
/** Characters of a token that may be found by its end: of a shorter one, the end is too much of it (RFC 9700 §4.9.3). */
const MIN_RECENT_LENGTH = 32

/** The fact that a server called a token active, and what it said of it; the token made of it, once its claims passed. */
export class Active {
  // Private, as an access token's own.
  readonly #token: string
  readonly issuer: Issuer
  readonly members: Claims
  /** Seconds since the epoch. */
  readonly since: number
  readonly until: number
  readonly bytes: number
  accessToken: VerifiedAccessToken | undefined

  constructor(token: string, issuer: Issuer, members: Claims, since: number, until: number) {
    this.#token = token
    this.issuer = issuer
    this.members = members
    this.since = since
    this.until = until
    this.bytes = 2 * (token.length + sizeOf(members))
  }

  get token(): string {
    return this.#token
  }
}

export interface IntrospectionCache {
  /** What is known of the token, or is being asked; else it is asked. undefined: not active. */
  recall(token: string, issuer: Issuer): Awaitable<Active | undefined>
  /** Asks now. Whatever was known, or asked before and not answered yet, counts no longer once this is answered. */
  ask(token: string, issuer: Issuer): Promise<Active | undefined>
  stats(): {
    readonly active: CacheStats
    readonly recent: CacheStats
    readonly inactive: CacheStats
    readonly introspecting: number
  }
}

export interface IntrospectionCacheMeans extends IntrospectionMeans {
  /** Where processes share answers. */
  readonly shared?: Shared | undefined
}

export function createIntrospectionCache({ shared, ...means }: IntrospectionCacheMeans): IntrospectionCache {
  const { now } = means
  const active = createTimedCache<Active>(MAX_ACTIVE)
  /** Those that were asked for again, found without a digest. Holds nothing that `active` was told to forget. */
  const recent = createTokenCache<Active>(({ bytes }) => bytes)
  const inactive = createTimedCache<true>(MAX_INACTIVE)
  const answers = shared && createSharedAnswers(shared, means)
  /** The latest question about each token. */
  const asking = new Map<string, Promise<Active | undefined>>()

  const keyOf = (token: string, issuer: Issuer): string => hash('sha256', `${issuer.serial}.${token}`, 'base64url')
  const cacheFor = ({ settings }: Issuer): number => settings.introspection?.cacheFor ?? 0

  const remember = (key: string, token: string, answer: Active | undefined, until: number): void => {
    const time = now()
    recent.delete(token)
    if (answer === undefined) {
      inactive.set(key, true, time, until)
      active.delete(key)
      return
    }
    inactive.delete(key)
    active.delete(key)
    active.set(key, answer, time, until, answer.bytes)
  }

  /** Another process's answer, or the server's, which `publish` makes known to the others. */
  const answer = async (
    token: string,
    issuer: Issuer,
    known: Promise<SharedAnswer | undefined> | undefined
  ): Promise<SharedAnswer & { publish?: () => void }> => {
    const shared = known && (await known)
    if (shared) return shared
    const members = await introspect(token, issuer, means)
    const since = now()
    const exp = members?.['exp']
    const most = since + (members ? cacheFor(issuer) : INACTIVE_FOR)
    const given = { members, since, until: typeof exp === 'number' ? Math.min(exp, most) : most }
    return { ...given, publish: () => answers?.set(token, issuer, given) }
  }

  const start = (
    key: string,
    token: string,
    issuer: Issuer,
    known: Promise<SharedAnswer | undefined> | undefined
  ): Promise<Active | undefined> => {
    const question = answer(token, issuer, known)
      .then(({ members, until, publish }) => {
        const fact = members && new Active(token, issuer, members, now(), until)
        // A question that was overtaken says what was so before: whoever waits for it is told, and nobody else.
        if (asking.get(key) === question) {
          remember(key, token, fact, until)
          publish?.()
        }
        return fact
      })
      .finally(() => {
        if (asking.get(key) === question) asking.delete(key)
      })
    asking.set(key, question)
    return question
  }

  return {
    recall: (token, issuer) => {
      const time = now()
      const near = recent.get(token)
      if (near?.issuer === issuer && near.since <= time && time < near.until) return near
      const key = keyOf(token, issuer)
      if (inactive.get(key, time)) return undefined
      const known = active.get(key, time)
      if (known) {
        if (token.length >= MIN_RECENT_LENGTH) recent.set(known)
        return known
      }
      const under = asking.get(key)
      if (under) return under
      const lifetime = { active: cacheFor(issuer), inactive: INACTIVE_FOR }
      return start(key, token, issuer, answers?.get(token, issuer, lifetime))
    },
    ask: (token, issuer) => start(keyOf(token, issuer), token, issuer, undefined),
    stats: () => ({
      active: active.stats(),
      recent: recent.stats(),
      inactive: inactive.stats(),
      introspecting: asking.size
    })
  }
}

/** Characters of a value's JSON; of one too deep to be written, more than anything that is remembered. */
function sizeOf(value: unknown): number {
  try {
    return JSON.stringify(value).length
  } catch {
    return Number.MAX_SAFE_INTEGER
  }
}
