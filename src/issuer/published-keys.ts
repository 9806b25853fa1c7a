/**
 * The key set of one issuer: where it is fetched, how it is read, how long it is fresh, and which of the fetched sets
 * verifies a token. Keys in the settings are never fetched, refetched or dropped.
 *
 * Tests: `test/rfc/rfc7517-keys.test.ts`.
 */

import { world } from '../base/world.js'
import { dates, type Loaded, type Watched, watch } from '../documents/document.js'
import { createFleet, type Fleet } from '../documents/fleet.js'
import { type Dated, isWithin } from '../documents/source.js'
import { Unavailable } from '../errors/errors.js'
import { type Answer, describeStatus, type Exchange, type Http } from '../http/exchange.js'
import { type KeyEvents, type KeySet, readKeySet } from '../jwt/key-set.js'
import { createLooks, type Looks, type Missing } from '../jwt/looks.js'
import type { Shared } from '../sharing/shared.js'
import type { Awaitable } from '../types.js'
import { type DatedMetadata, requireEndpoint } from './metadata.js'
import type { IssuerSettings } from './settings.js'

/** Seconds for which a fetched key set is fresh: without `max-age`, and the bounds of `max-age`. */
const KEYS_FRESH_FOR = { default: 600, min: 60, max: 3600 }

/**
 * Seconds for which a key set stays in use, once it is no longer fresh, while the authorization server cannot be
 * reached.
 */
const KEYS_STALE_FOR = 3600

/** Minimum seconds between dropping a key set to free memory and fetching it again. */
const DROPPED_FOR = 30

export interface DatedKeySet extends KeySet, Dated {}

export interface PublishedKeysMeans {
  readonly http: Http
  readonly now: () => number
  /** Maximum seconds that a token waits for an unknown key. */
  readonly deadline: number
  /** Where the issuer's `jwks_uri` is found. */
  readonly metadata: Watched<DatedMetadata>
  /** Header fields of `jwksAuth`, asked for before each fetch. */
  readonly credentials: () => Promise<Readonly<Record<string, string>>>
  readonly shared: Shared | undefined
  /** Identify the issuer's documents to other processes. */
  readonly fleetParts: readonly string[]
  readonly warn: (message: string) => void
  /** Called with the bytes of each set that was read and of each key that was imported. */
  readonly grew: (bytes: number) => void
}

export class PublishedKeys {
  /** Raised whenever a key leaves the set or changes, and when the set is dropped. */
  version = 0
  readonly document: Watched<DatedKeySet>
  private readonly settings: IssuerSettings
  private readonly means: PublishedKeysMeans
  private readonly events: KeyEvents
  private readonly looks: Looks<DatedKeySet>
  private droppedAt = Number.NEGATIVE_INFINITY
  /** Fingerprints of the set before. */
  private previous: ReadonlySet<string> = new Set()

  constructor(settings: IssuerSettings, means: PublishedKeysMeans) {
    const { now, deadline, warn, grew } = means
    this.settings = settings
    this.means = means
    this.events = { broken: (why) => warn(`key set: ${why}`), imported: grew }
    this.document = watch<DatedKeySet>({
      load: (again) => this.load(again),
      accept: (set) => this.accept(set),
      now,
      staleFor: KEYS_STALE_FOR,
      fleet: this.createFleet(),
      looks: true
    })
    this.looks = createLooks<DatedKeySet>({ ...this.document, now, deadline })
  }

  /** The set that verifies tokens now. */
  current(): Awaitable<DatedKeySet> {
    return this.document.source()
  }

  /** @returns the set that decides about a token whose key `butNot` does not have */
  find(butNot: DatedKeySet, missing: Missing | undefined): Awaitable<DatedKeySet> {
    return this.settings.jwks || missing === undefined ? butNot : this.looks.find(butNot, missing)
  }

  /** Call it after a wrong signature by a known key: an authorization server may reuse a `kid`. */
  suspect(): void {
    if (!this.settings.jwks) this.looks.suspect()
  }

  /** Bytes that {@link drop} would free, approximately. */
  bytes(): number {
    return this.settings.jwks ? 0 : (this.document.held()?.bytes() ?? 0)
  }

  /** Drops the set to free memory. It is fetched again when it is next needed, after {@link DROPPED_FOR} seconds. */
  drop(): void {
    if (this.settings.jwks) return
    this.document.drop()
    this.droppedAt = this.means.now()
    this.previous = new Set()
    this.version++
  }

  private accept(set: DatedKeySet): void {
    const { warn, grew } = this.means
    for (const why of set.skipped) warn(`key set: ${why}`)
    if ([...this.previous].some((fingerprint) => !set.fingerprints.has(fingerprint))) this.version++
    this.previous = set.fingerprints
    if (!this.settings.jwks) grew(set.bytes())
  }

  private createFleet(): Fleet<DatedKeySet> | undefined {
    const { shared, fleetParts, now } = this.means
    if (shared === undefined || this.settings.jwks) return undefined
    return createFleet<DatedKeySet>(shared, {
      purpose: 'jwks',
      parts: fleetParts,
      read: (text, fetchedAt, freshFor, servedAt) => {
        const set = readKeySet(JSON.parse(text), this.events)
        if (set.size === 0) throw new TypeError('no usable key')
        return { ...set, isSecondHand: true, ...dates(fetchedAt, freshFor, servedAt) }
      },
      now,
      maxFreshFor: KEYS_FRESH_FOR.max,
      staleFor: KEYS_STALE_FOR
    })
  }

  private async load(again: boolean): Promise<Loaded<DatedKeySet>> {
    const { jwks, jwksAuth } = this.settings
    const since = this.means.now()
    if (jwks) return { document: { ...jwks, ...dates(since, Number.POSITIVE_INFINITY) } }
    this.requireNotDropped(since)
    const { url, answer } = await this.locate(again, this.timeLeft())
    const published = readPublishedKeySet(answer, url, this.events, jwksAuth !== undefined)
    const set = { ...published, ...dates(since, lifetime(answer.cacheControl), readDate(answer.date)) }
    return { document: set, text: answer.body }
  }

  /** @throws {Unavailable} the set was dropped less than {@link DROPPED_FOR} seconds ago */
  private requireNotDropped(time: number): void {
    const until = this.droppedAt + DROPPED_FOR
    if (this.document.held() === undefined && isWithin(time, this.droppedAt, until))
      throw new Unavailable('jwks', 'the key set was dropped because key sets of all issuers took too much memory', {
        retryAfter: until - time
      })
  }

  /**
   * Milliseconds that the next exchange may take. While an older set is held, all exchanges share one deadline, so that the
   * older set can still serve the request that waits. Without one, each exchange has the whole deadline.
   */
  private timeLeft(): () => number {
    const { patience } = this.means.http
    const started = world.monotonic()
    return () => (this.document.held() === undefined ? patience : Math.max(0, patience - (world.monotonic() - started)))
  }

  /** @returns the answer, and the URL that gave it. If the URL answers 4xx, the metadata may name another one by now. */
  private async locate(again: boolean, left: () => number): Promise<{ readonly url: string; readonly answer: Answer }> {
    const { http, metadata, credentials } = this.means
    const { jwksUri } = this.settings
    if (jwksUri !== undefined) {
      const fields = await credentials()
      return { url: jwksUri, answer: await http({ ...keySetExchange(jwksUri, again, fields), within: left() }) }
    }
    const known = await metadata.source()
    const url = requireEndpoint(known.document, 'jwks_uri', this.settings)
    const ask = (from: string): Promise<Answer> => http({ ...keySetExchange(from, again), within: left() })
    const answer = await ask(url)
    if (answer.status < 400 || answer.status > 499) return { url, answer }
    const moved = await this.currentJwksUri(known, url)
    return moved === url ? { url, answer } : { url: moved, answer: await ask(moved) }
  }

  /**
   * The `jwks_uri` of the latest metadata, or `url` if they cannot be fetched. Limited like every fetch of metadata.
   */
  private async currentJwksUri(known: DatedMetadata, url: string): Promise<string> {
    try {
      return requireEndpoint((await this.means.metadata.source(known)).document, 'jwks_uri', this.settings)
    } catch {
      return url
    }
  }
}

/** Seconds for which a key set is fresh: `max-age`, within bounds (RFC 9111 §5.2.2.1). */
function lifetime(cacheControl: string): number {
  const maxAge = /(?:^|[\s,])max-age="?(\d{1,9})/.exec(cacheControl)?.[1]
  if (maxAge === undefined) return KEYS_FRESH_FOR.default
  return Math.min(KEYS_FRESH_FOR.max, Math.max(KEYS_FRESH_FOR.min, Number(maxAge)))
}

/** Seconds since the epoch of a `Date` field (RFC 9110 §6.6.1); undefined if the field is not a date. */
function readDate(field: string): number | undefined {
  const milliseconds = Date.parse(field)
  return Number.isNaN(milliseconds) ? undefined : milliseconds / 1000
}

/**
 * The request for a key set.
 *
 * @param again         whether to bypass caches between us and the authorization server
 * @param credentials   header fields of `jwksAuth`
 */
export function keySetExchange(
  url: string,
  again: boolean,
  credentials: Readonly<Record<string, string>> = {}
): Exchange {
  const headers = {
    ...credentials,
    accept: 'application/json, application/jwk-set+json',
    ...(again && { 'cache-control': 'no-cache' })
  }
  return { url, method: 'GET', headers, dependency: 'jwks' }
}

/**
 * Reads an answer. An empty, malformed or too large set counts as a failed attempt and never replaces a good one.
 *
 * @param hasCredentials  whether `jwksAuth` is configured
 * @throws {Unavailable} the answer is not a key set with a usable key
 */
export function readPublishedKeySet(answer: Answer, url: string, events: KeyEvents, hasCredentials: boolean): KeySet {
  const { host } = new URL(url)
  if (answer.status === 401 || answer.status === 403)
    throw new Unavailable(
      'jwks',
      `${host} answered ${answer.status} for the key set: ${
        hasCredentials
          ? 'it does not accept the credentials of `jwksAuth`'
          : 'an endpoint that requires credentials needs `jwksUri` and `jwksAuth`'
      }`
    )
  if (answer.status !== 200) {
    const isRedirect = answer.status >= 300 && answer.status < 400
    const cure = isRedirect ? ': set `jwksUri` to the address that has the keys' : ''
    throw new Unavailable('jwks', `${host} ${describeStatus(answer.status)} for the key set${cure}`)
  }
  let set: KeySet
  try {
    set = readKeySet(JSON.parse(answer.body), events)
  } catch (cause) {
    const why = cause instanceof TypeError ? `: ${cause.message}` : ''
    throw new Unavailable('jwks', `${host} did not answer with a key set${why}`, { cause })
  }
  if (set.size === 0)
    throw new Unavailable(
      'jwks',
      `${host} published no usable key${set.skipped.length ? ` (${set.skipped.join('; ')})` : ''}${set.otherUse ? ` (${set.otherUse} for another use, such as encryption)` : ''}`
    )
  return set
}
