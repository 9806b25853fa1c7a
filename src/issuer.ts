/**
 * One trusted issuer: its metadata (RFC 8414, then OpenID Connect Discovery), its endpoints and its key set. Lazy:
 * nothing is fetched before it is needed, and what settings give is never fetched.
 */
import { andThen } from './awaitable.js'
import { discover, requireEndpoint, requireIntrospectionEndpoint } from './discovery.js'
import { ResourceServerError, Unavailable } from './errors.js'
import type { Answer, Http } from './http.js'
import type { IssuerSettings } from './issuer-settings.js'
import { type KeySet, readKeySet } from './key-set.js'
import { createLimits, type Limits } from './limits.js'
import { coalesced, cooled, type Dated, fresh, type Source, staleOnError } from './remote.js'
import type { AuthorizationServerMetadata, Awaitable } from './types.js'

/** Seconds. */
const KEYS_FRESH_FOR = { default: 600, min: 60, max: 3600 }
const KEYS_STALE_FOR = 3600
const METADATA_FRESH_FOR = 3600
const METADATA_STALE_FOR = 24 * 3600
const ATTEMPT_WINDOW = 30
const FIRST_BACKOFF = 1
/** Of the time a document is fresh, after which it is renewed in the background, ± 10 % so that a fleet spreads out. */
const REFRESH_AT = 0.8
const MAX_WARNINGS = 10

interface Metadata extends Dated {
  readonly document: AuthorizationServerMetadata
}

interface DatedKeySet extends KeySet, Dated {}

/** What is known of a remote document: ages in seconds, undefined where it was never loaded; `freshFor` also where it is for ever. */
export interface DocumentHealth {
  readonly age: number | undefined
  readonly freshFor: number | undefined
  /** Why the last attempt to load it failed; undefined after a success. */
  readonly error: string | undefined
}

export interface IssuerHealth {
  readonly issuer: string
  /** `ok`: nothing known to be wrong. `degraded`: serving from memory while renewals fail. `failed`: cannot verify. */
  readonly status: 'ok' | 'degraded' | 'failed'
  readonly metadata: DocumentHealth
  readonly jwks: DocumentHealth & { readonly keys: number }
  readonly introspection: Pick<Limits, 'state' | 'underWay' | 'queued'>
  /** The latest oddities that did not stop anything. */
  readonly warnings: readonly string[]
}

export interface Issuer {
  /** Distinguishes it from every other issuer of the server, also from one of the same name and other settings. */
  readonly serial: number
  readonly settings: IssuerSettings
  readonly keySet: Source<DatedKeySet>
  /** Seconds since the epoch until when the key set needs no second look: before, asking `keySet` changes nothing. */
  keySetSettledUntil(): number
  /** Raised whenever a key leaves the set or changes: what was verified with an older version is verified again. */
  keySetVersion(): number
  metadata(): Awaitable<AuthorizationServerMetadata>
  introspectionEndpoint(): Awaitable<string>
  readonly limits: Limits
  /** Loads what verification will need. */
  ready(): Promise<void>
  health(): IssuerHealth
}

export interface IssuerContext {
  readonly serial: number
  readonly resource: string
  readonly http: Http
  readonly now: () => number
  readonly warning: (issuer: string, message: string) => void
}

export function createIssuer(
  settings: IssuerSettings,
  { serial, resource, http, now, warning }: IssuerContext
): Issuer {
  const warnings: string[] = []
  const warn = (message: string): void => {
    if (warnings.includes(message)) return
    warnings.push(message)
    if (warnings.length > MAX_WARNINGS) warnings.shift()
    warning(settings.issuer, message)
  }

  const metadata = watch<Metadata>(
    async () => {
      const document = await discover(settings, http)
      warnAboutMetadata(document, resource, warn)
      return { document, ...dates(now(), METADATA_FRESH_FOR) }
    },
    now,
    METADATA_STALE_FOR
  )

  let version = 0
  let previous: ReadonlySet<string> = new Set()
  const keys = watch<DatedKeySet>(
    async (again) => {
      const set = settings.jwks
        ? { ...settings.jwks, ...dates(now(), Number.POSITIVE_INFINITY) }
        : await fetchKeySet(again)
      for (const why of set.skipped) warn(`key set: ${why}`)
      if ([...previous].some((fingerprint) => !set.fingerprints.has(fingerprint))) version++
      previous = set.fingerprints
      return set
    },
    now,
    KEYS_STALE_FOR
  )

  const fetchKeySet = async (again: boolean): Promise<DatedKeySet> => {
    const url = settings.jwksUri ?? requireEndpoint((await metadata.source()).document, 'jwks_uri', settings.issuer)
    const answer = await http({
      url,
      method: 'GET',
      headers: { accept: 'application/json, application/jwk-set+json', ...(again && { 'cache-control': 'no-cache' }) },
      dependency: 'jwks'
    })
    const set = readPublishedKeySet(answer, url)
    return { ...set, ...dates(now(), lifetime(answer.cacheControl)) }
  }

  const limits = createLimits(now)
  // Also to verify what it signs about opaque tokens (RFC 9701).
  const needsKeys = settings.tokens !== 'opaque' || settings.introspection?.signedResponse === true
  const needsMetadata =
    (needsKeys && !settings.jwks && settings.jwksUri === undefined) ||
    (settings.tokens !== 'jwt' && settings.introspection?.endpoint === undefined)

  const issuer: Issuer = {
    serial,
    settings,
    keySet: keys.source,
    keySetSettledUntil: () => keys.held()?.refreshAt ?? Number.NEGATIVE_INFINITY,
    keySetVersion: () => version,
    metadata: () => andThen(metadata.source(), ({ document }) => document),
    introspectionEndpoint: () =>
      settings.introspection?.endpoint ??
      andThen(metadata.source(), ({ document }) => requireIntrospectionEndpoint(document, settings)),
    limits,
    ready: async () => {
      if (needsKeys) await keys.source()
      if (settings.tokens !== 'jwt') await issuer.introspectionEndpoint()
    },
    health: () => {
      const documents = { metadata: metadata.health(), jwks: { ...keys.health(), keys: keys.held()?.size ?? 0 } }
      return {
        issuer: settings.issuer,
        status: status(
          needsKeys ? [keys] : [],
          needsMetadata ? [metadata] : [],
          now(),
          settings.tokens !== 'jwt' && limits.state === 'open'
        ),
        ...documents,
        introspection: { state: limits.state, underWay: limits.underWay, queued: limits.queued },
        warnings: [...warnings]
      }
    }
  }
  return issuer
}

/** A source with everything around it, and a window to look into it. */
interface Watched<T extends Dated> extends Observed {
  readonly source: Source<T>
  held(): T | undefined
}

interface Observed {
  error(): unknown
  /** Until when the held document may serve. */
  usableUntil(): number
  health(): DocumentHealth
}

function watch<T extends Dated>(load: (again: boolean) => Promise<T>, now: () => number, staleFor: number): Watched<T> {
  let held: T | undefined
  let error: unknown
  const observed = async (again: boolean): Promise<T> => {
    try {
      held = await load(again)
      error = undefined
      return held
    } catch (cause) {
      error = cause
      throw cause
    }
  }
  const attempts = cooled(observed, { now, window: ATTEMPT_WINDOW, firstBackoff: FIRST_BACKOFF, random: Math.random })
  return {
    source: staleOnError(fresh(coalesced(attempts), now), {
      now,
      staleFor,
      last: () => held,
      failing: () => error !== undefined
    }),
    held: () => held,
    error: () => error,
    usableUntil: () => (held ? held.freshUntil + staleFor : Number.NEGATIVE_INFINITY),
    health: () => ({
      age: held && now() - held.fetchedAt,
      freshFor: held && Number.isFinite(held.freshUntil) ? held.freshUntil - now() : undefined,
      error: error === undefined ? undefined : describe(error)
    })
  }
}

/** What happened, for the operator. */
function describe(error: unknown): string {
  return error instanceof ResourceServerError ? error.hint : String(error)
}

function status(keys: Observed[], metadata: Observed[], time: number, breakerOpen: boolean): IssuerHealth['status'] {
  const needed = [...keys, ...metadata]
  // Keys that are there verify without metadata; without keys, whatever failed is what is missing.
  const useless =
    (keys.length > 0 ? keys : metadata).some((one) => one.usableUntil() <= time) &&
    needed.some((one) => one.error() !== undefined)
  if (useless) return 'failed'
  return breakerOpen || needed.some((one) => one.error() !== undefined) ? 'degraded' : 'ok'
}

function dates(fetchedAt: number, freshFor: number): Dated {
  return {
    fetchedAt,
    refreshAt: fetchedAt + freshFor * (REFRESH_AT + (Math.random() - 0.5) / 5),
    freshUntil: fetchedAt + freshFor
  }
}

/** Seconds a key set is fresh: `max-age`, within bounds (RFC 9111 §5.2.2.1). */
function lifetime(cacheControl: string): number {
  const maxAge = /(?:^|[\s,])max-age="?(\d{1,9})/.exec(cacheControl)?.[1]
  if (maxAge === undefined) return KEYS_FRESH_FOR.default
  return Math.min(KEYS_FRESH_FOR.max, Math.max(KEYS_FRESH_FOR.min, Number(maxAge)))
}

/**
 * A published set that is empty, malformed or too large is a failed attempt: it never replaces a good one.
 *
 * @throws {Unavailable}
 */
function readPublishedKeySet(answer: Answer, url: string): KeySet {
  const { host } = new URL(url)
  if (answer.status !== 200) throw new Unavailable('jwks', `${host} answered ${answer.status} for the key set`)
  let set: KeySet
  try {
    set = readKeySet(JSON.parse(answer.body))
  } catch (cause) {
    throw new Unavailable('jwks', `${host} did not answer with a key set`, { cause })
  }
  if (set.size === 0)
    throw new Unavailable(
      'jwks',
      `${host} published no usable key${set.skipped.length ? ` (${set.skipped.join('; ')})` : ''}`
    )
  return set
}

function warnAboutMetadata(
  document: AuthorizationServerMetadata,
  resource: string,
  warn: (message: string) => void
): void {
  const { protected_resources: resources } = document
  if (Array.isArray(resources) && !resources.includes(resource)) {
    warn(`metadata: \`protected_resources\` does not list ${resource} (RFC 9728 §4)`)
  }
}
