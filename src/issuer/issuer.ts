/**
 * One trusted issuer: its metadata (RFC 8414, then OpenID Connect Discovery), its endpoints and its key set. Lazy:
 * nothing is fetched before it is needed, and what settings give is never fetched.
 */
import { andThen } from '../base/awaitable.js'
import { type DocumentHealth, dates, type Loaded, type Observed, watch } from '../documents/document.js'
import { createFleet } from '../documents/fleet.js'
import { type Dated, isWithin } from '../documents/source.js'
import { Unavailable } from '../errors/errors.js'
import { createLimits, type Limits, type LimitsHealth } from '../http/breaker.js'
import type { Answer, Http } from '../http/exchange.js'
import type { HeldKeys, KeyMemory } from '../jwt/key-memory.js'
import { type KeyEvents, type KeySet, readKeySet } from '../jwt/key-set.js'
import { createLooks } from '../jwt/looks.js'
import type { KeySource } from '../jwt/verify-jwt.js'
import type { Shared } from '../sharing/shared.js'
import type { Awaitable } from '../types.js'
import { createDiscovery } from './discovery.js'
import { createIntrospectionEvidence, type IntrospectionEvidence } from './introspection-evidence.js'
import { jwksAuthFields } from './jwks-auth.js'
import type { AuthorizationServerMetadata } from './metadata.js'
import { readMetadata, requireEndpoint, requireIntrospectionEndpoint, weighMetadata } from './metadata.js'
import { KEYS_FRESH_FOR, keySetExchange, lifetime, readDate, readPublishedKeySet } from './published-keys.js'
import type { IssuerSettings } from './settings.js'

export type { DocumentHealth } from '../documents/document.js'

const KEYS_STALE_FOR = 3600

const METADATA_FRESH_FOR = 3600

const METADATA_STALE_FOR = 24 * 3600

/** Minimum seconds between dropping a key set for want of room and fetching it again. */
const DROPPED_FOR = 30

const MAX_WARNINGS = 10

/** Fraction of the deadline for which a renewal of metadata is waited for, where older ones may serve: the keys need the rest. */
const SILENT_AT = 0.4

interface Metadata extends Dated {
  readonly document: AuthorizationServerMetadata
}

interface DatedKeySet extends KeySet, Dated {}

/** How it stands with an issuer: whether its tokens can be verified, and until when, should nothing be renewed. */
export interface IssuerHealth {
  readonly issuer: string
  /** `ok`: nothing known to be wrong. `degraded`: serving from memory while renewals fail. `failed`: cannot verify. */
  readonly status: 'ok' | 'degraded' | 'failed'
  readonly metadata: DocumentHealth
  readonly jwks: DocumentHealth & { readonly keys: number }
  readonly introspection: LimitsHealth
  /** The latest oddities that did not stop anything. */
  readonly warnings: readonly string[]
}

export interface Issuer {
  /** Distinguishes it from every other issuer of the server, also from one of the same name and other settings. */
  readonly serial: number
  readonly settings: IssuerSettings
  /** From now on these settings count, which differ from the others in functions only: all that is known stays. */
  revise(settings: IssuerSettings): void
  readonly keySet: KeySource<DatedKeySet>
  /** Seconds since the epoch until when the key set needs no second look: before, asking `keySet` changes nothing. */
  keySetSettledUntil(): number
  /** Raised whenever a key leaves the set or changes: what was verified with an older version is verified again. */
  keySetVersion(): number
  metadata(): Awaitable<AuthorizationServerMetadata>
  introspectionEndpoint(): Awaitable<string>
  readonly limits: Limits
  /** What shows whether a 400 of the introspection endpoint is about a token. */
  readonly evidence: IntrospectionEvidence
  /** With the metadata. Keys from the settings do not count. */
  readonly heldKeys: HeldKeys
  /** Loads what verification will need. */
  ready(): Promise<void>
  /** Loads metadata and keys now, those that are fetched at all, whatever was loaded a moment ago. @throws the first failure, after both were tried */
  refresh(): Promise<void>
  /** Of an oddity that stopped nothing: told once, and shown by `health()`. */
  warn(message: string): void
  health(): IssuerHealth
}

export interface IssuerContext {
  readonly serial: number
  readonly resource: string
  readonly http: Http
  readonly now: () => number
  /** Seconds that `jwksAuth` may take. */
  readonly callbackTimeout: number
  /** Maximum seconds that a token waits for a key that is not known. */
  readonly deadline: number
  readonly warning: (issuer: string, message: string) => void
  readonly keyMemory: KeyMemory
  readonly shared?: Shared | undefined
}

export function createIssuer(
  settings: IssuerSettings,
  { serial, resource, http, now, deadline, callbackTimeout, warning, keyMemory, shared }: IssuerContext
): Issuer {
  const warnings: string[] = []
  const warn = (message: string): void => {
    if (warnings.includes(message)) return
    warnings.push(message)
    if (warnings.length > MAX_WARNINGS) warnings.shift()
    warning(settings.issuer, message)
  }

  const metadataFleet =
    shared &&
    createFleet<Metadata>(shared, {
      purpose: 'metadata',
      parts: partsOf(settings),
      read: (text, fetchedAt, freshFor) => {
        const document = readMetadata(text, settings.expectedMetadataIssuer)
        if (typeof document === 'string') throw new TypeError(document)
        return { document, ...dates(fetchedAt, freshFor) }
      },
      now,
      maxFreshFor: METADATA_FRESH_FOR,
      staleFor: METADATA_STALE_FOR
    })
  const discover = createDiscovery(settings, http)
  let metadataBytes = 0
  const metadata = watch<Metadata>({
    load: async () => {
      const since = now()
      const { document, text } = await discover()
      return { document: { document, ...dates(since, METADATA_FRESH_FOR) }, text }
    },
    accept: ({ document }) => {
      warnAboutMetadata(document, resource, warn)
      metadataBytes = weighMetadata(document)
      keyMemory.grew(metadataBytes)
    },
    now,
    staleFor: METADATA_STALE_FOR,
    patience: SILENT_AT * http.patience,
    fleet: metadataFleet
  })

  const keyEvents: KeyEvents = {
    broken: (why) => warn(`key set: ${why}`),
    imported: (bytes) => keyMemory.grew(bytes)
  }
  let droppedAt = Number.NEGATIVE_INFINITY
  let version = 0
  let previous: ReadonlySet<string> = new Set()
  // Keys in the settings come from nowhere.
  const keyFleet =
    shared &&
    (settings.jwks
      ? undefined
      : createFleet<DatedKeySet>(shared, {
          purpose: 'jwks',
          parts: partsOf(settings),
          read: (text, fetchedAt, freshFor, servedAt) => {
            const set = readKeySet(JSON.parse(text), keyEvents)
            if (set.size === 0) throw new TypeError('no usable key')
            return { ...set, isSecondHand: true, ...dates(fetchedAt, freshFor, servedAt) }
          },
          now,
          maxFreshFor: KEYS_FRESH_FOR.max,
          staleFor: KEYS_STALE_FOR
        }))
  const keys = watch<DatedKeySet>({
    load: async (again) =>
      settings.jwks
        ? { document: { ...settings.jwks, ...dates(now(), Number.POSITIVE_INFINITY) } }
        : fetchKeySet(again),
    accept: (set) => {
      for (const why of set.skipped) warn(`key set: ${why}`)
      if ([...previous].some((fingerprint) => !set.fingerprints.has(fingerprint))) version++
      previous = set.fingerprints
      if (!settings.jwks) keyMemory.grew(set.bytes())
    },
    now,
    staleFor: KEYS_STALE_FOR,
    fleet: keyFleet,
    looks: true
  })
  const looks = createLooks<DatedKeySet>({ ...keys, now, deadline })
  const heldKeys: { -readonly [K in keyof HeldKeys]: HeldKeys[K] } = {
    get bytes() {
      return (settings.jwks ? 0 : (keys.held()?.bytes() ?? 0)) + (metadata.held() ? metadataBytes : 0)
    },
    used: 0,
    drop: () => {
      metadata.drop()
      if (settings.jwks) return
      keys.drop()
      droppedAt = now()
      previous = new Set()
      version++
    }
  }
  const keySet: KeySource<DatedKeySet> = (butNot, missing) => {
    if (butNot === undefined) {
      heldKeys.used = keyMemory.use()
      return keys.source()
    }
    // Keys in the settings come from nowhere.
    return settings.jwks || missing === undefined ? butNot : looks.find(butNot, missing)
  }
  keySet.suspect = () => {
    if (!settings.jwks) looks.suspect()
  }

  const fetchKeySet = async (again: boolean): Promise<Loaded<DatedKeySet>> => {
    const since = now()
    if (keys.held() === undefined && isWithin(since, droppedAt, droppedAt + DROPPED_FOR))
      throw new Unavailable('jwks', 'the key set was dropped because key sets of all issuers took too much memory', {
        retryAfter: droppedAt + DROPPED_FOR - since
      })
    const started = performance.now()
    // A set that may still serve must do so within the deadline of the request that waits for this one.
    const left = (): number =>
      keys.held() === undefined ? http.patience : Math.max(0, http.patience - (performance.now() - started))
    const { url, answer } = await locateKeySet(again, left)
    const published = readPublishedKeySet(answer, url, keyEvents, settings.jwksAuth !== undefined)
    const set = { ...published, ...dates(since, lifetime(answer.cacheControl), readDate(answer.date)) }
    return { document: set, text: answer.body }
  }

  /** The answer, and who gave it. Where the key set is no more, the metadata may say by now where it is. */
  const locateKeySet = async (
    again: boolean,
    left: () => number
  ): Promise<{ readonly url: string; readonly answer: Answer }> => {
    if (settings.jwksUri !== undefined) {
      const url = settings.jwksUri
      // Of the issuer and not of the first settings: a resolver's latest answer has the function that counts.
      const credentials = await jwksAuthFields(issuer.settings, callbackTimeout)
      return { url, answer: await http({ ...keySetExchange(url, again, credentials), within: left() }) }
    }
    const known = await metadata.source()
    const url = requireEndpoint(known.document, 'jwks_uri', settings)
    const ask = (from: string): Promise<Answer> => http({ ...keySetExchange(from, again), within: left() })
    const answer = await ask(url)
    if (answer.status < 400 || answer.status > 499) return { url, answer }
    const moved = await currentJwksUri(known, url)
    return moved === url ? { url, answer } : { url: moved, answer: await ask(moved) }
  }

  /** Bounded as any question about the metadata is. Where they cannot be had, what is known stands. */
  const currentJwksUri = async (known: Metadata, url: string): Promise<string> => {
    try {
      return requireEndpoint((await metadata.source(known)).document, 'jwks_uri', settings)
    } catch {
      return url
    }
  }

  const limits = createLimits(now)
  // Also to verify what it signs about opaque tokens (RFC 9701).
  const needsKeys = settings.tokens !== 'opaque' || settings.introspection?.signedResponse === true
  const needsMetadata =
    (needsKeys && !settings.jwks && settings.jwksUri === undefined) ||
    (settings.tokens !== 'jwt' && settings.introspection?.endpoint === undefined)

  const issuer: { -readonly [K in keyof Issuer]: Issuer[K] } = {
    serial,
    settings,
    revise: (revised) => {
      issuer.settings = revised
    },
    keySet,
    keySetSettledUntil: () => keys.held()?.refreshAt ?? Number.NEGATIVE_INFINITY,
    keySetVersion: () => version,
    metadata: () => andThen(metadata.source(), ({ document }) => document),
    introspectionEndpoint: () => {
      heldKeys.used = keyMemory.use()
      return (
        settings.introspection?.endpoint ??
        andThen(metadata.source(), ({ document }) => requireIntrospectionEndpoint(document, issuer.settings))
      )
    },
    limits,
    evidence: createIntrospectionEvidence(),
    heldKeys,
    ready: async () => {
      if (needsKeys) await keys.source()
      if (settings.tokens !== 'jwt') await issuer.introspectionEndpoint()
    },
    refresh: async () => {
      const failures: unknown[] = []
      const failed = (error: unknown): unknown => failures.push(error)
      // The metadata first, which say where the keys are.
      if (needsMetadata || metadata.held() !== undefined) await metadata.refresh().catch(failed)
      if (needsKeys && !settings.jwks) await keys.refresh().catch(failed)
      if (failures.length > 0) throw failures[0]
    },
    warn,
    health: () => {
      const documents = { metadata: metadata.health(), jwks: { ...keys.health(), keys: keys.held()?.size ?? 0 } }
      const introspection = limits.health()
      return {
        issuer: settings.issuer,
        status: status(
          needsKeys ? [keys] : [],
          needsMetadata ? [metadata] : [],
          now(),
          settings.tokens !== 'jwt' && introspection.state === 'open'
        ),
        ...documents,
        introspection,
        warnings: [...warnings]
      }
    }
  }
  return issuer
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

/** What an issuer's documents are known by in a fleet: whose they are, and where the settings have them from. */
function partsOf({
  issuer,
  expectedMetadataIssuer,
  metadataUrl = '',
  jwksUri = '',
  reachedAt
}: IssuerSettings): readonly string[] {
  const parts = [issuer, expectedMetadataIssuer, metadataUrl, jwksUri]
  return reachedAt === undefined ? parts : [...parts, reachedAt]
}

function warnAboutMetadata(document: AuthorizationServerMetadata, resource: string, warn: Issuer['warn']): void {
  const { protected_resources: resources } = document
  if (Array.isArray(resources) && !resources.includes(resource)) {
    warn(`metadata: \`protected_resources\` does not list ${resource} (RFC 9728 §4)`)
  }
}
