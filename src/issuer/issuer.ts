/**
 * One trusted issuer: its metadata (RFC 8414, then OpenID Connect Discovery), its endpoints and its key set. Documents are
 * fetched when they are first needed. A document that the settings contain is never fetched.
 */
import { andThen } from '../base/awaitable.js'
import { type DocumentHealth, dates, type Observed, type Watched, watch } from '../documents/document.js'
import { createFleet, type Fleet } from '../documents/fleet.js'
import { createLimits, type Limits, type LimitsHealth } from '../http/breaker.js'
import type { Http } from '../http/exchange.js'
import type { HeldKeys, KeyMemory } from '../jwt/key-memory.js'
import type { KeySource } from '../jwt/verify-jwt.js'
import type { Shared } from '../sharing/shared.js'
import type { Awaitable } from '../types.js'
import { createDiscovery } from './discovery.js'
import { createIntrospectionEvidence, type IntrospectionEvidence } from './introspection-evidence.js'
import { jwksAuthFields } from './jwks-auth.js'
import {
  type AuthorizationServerMetadata,
  type DatedMetadata,
  DEVELOPMENT_MARKER,
  readMetadata,
  requireIntrospectionEndpoint,
  weighMetadata
} from './metadata.js'
import { type DatedKeySet, PublishedKeys } from './published-keys.js'
import type { IssuerSettings } from './settings.js'

export type { DocumentHealth } from '../documents/document.js'

/** Seconds for which fetched metadata are fresh. */
const METADATA_FRESH_FOR = 3600

/**
 * Seconds for which metadata stay in use, once they are no longer fresh, while the authorization server cannot be
 * reached.
 */
const METADATA_STALE_FOR = 24 * 3600

/** Maximum warnings that `health()` shows; the oldest is dropped. */
const MAX_WARNINGS = 10

const TRUSTS_DEVELOPMENT =
  'metadata: this is the development issuer of `npx oauth-resource-server issuer`, which gives tokens to anyone who can reach it: in production, trust another issuer'

/**
 * Fraction of the deadline for which a token waits for new metadata while older ones can be used: its keys need the
 * rest.
 */
const SILENT_AT = 0.4

/** Whether an issuer's tokens can be verified, and the ages of its documents. */
export interface IssuerHealth {
  readonly issuer: string
  /** `ok`: no failure is known. `degraded`: serving from memory while renewals fail. `failed`: cannot verify. */
  readonly status: 'ok' | 'degraded' | 'failed'
  readonly metadata: DocumentHealth
  readonly jwks: DocumentHealth & { readonly keys: number }
  readonly introspection: LimitsHealth
  /** The latest warnings about this issuer, at most 10, each text once. */
  readonly warnings: readonly string[]
}

export interface Issuer {
  /** Identifies this issuer among all issuers of the server, even those with the same name and other settings. */
  readonly serial: number
  readonly settings: IssuerSettings
  /** Replaces the settings with settings that differ only in functions. Documents, keys and limits stay. */
  revise(settings: IssuerSettings): void
  readonly keySet: KeySource<DatedKeySet>
  /** Seconds since the epoch until when the held key set needs no renewal, so that calling `keySet` starts none. */
  keySetSettledUntil(): number
  /** Raised whenever a key leaves the set or changes, or the set is dropped: tokens verified before are verified again. */
  keySetVersion(): number
  metadata(): Awaitable<AuthorizationServerMetadata>
  introspectionEndpoint(): Awaitable<string>
  readonly limits: Limits
  /** Shows whether a 400 of the introspection endpoint is about a token. */
  readonly evidence: IntrospectionEvidence
  /** Memory held by the keys and the metadata. Keys from the settings do not count. */
  readonly heldKeys: HeldKeys
  /** Loads the documents that verification will need. */
  ready(): Promise<void>
  /** Fetches metadata and keys now, however recent the held ones are. @throws the first failure, after both were tried */
  refresh(): Promise<void>
  /** Reports an anomaly that is not a failure: emitted once while `health()` shows it. */
  warn(message: string): void
  health(): IssuerHealth
}

export interface IssuerContext {
  readonly serial: number
  readonly resource: string
  readonly http: Http
  readonly now: () => number
  /** Maximum seconds that `jwksAuth` may take. */
  readonly callbackTimeout: number
  /** Maximum seconds that a token waits for an unknown key. */
  readonly deadline: number
  /** @param isUrgent true for a warning that is said without a logger too */
  readonly warning: (issuer: string, message: string, isUrgent?: boolean) => void
  readonly keyMemory: KeyMemory
  readonly shared?: Shared | undefined
}

export function createIssuer(settings: IssuerSettings, context: IssuerContext): Issuer {
  return new TrustedIssuer(settings, context)
}

class TrustedIssuer implements Issuer {
  readonly serial: number
  /** The settings of the latest answer, if a resolver answers: equal to the first ones except for functions. */
  settings: IssuerSettings
  readonly keySet: KeySource<DatedKeySet>
  readonly limits: Limits
  readonly evidence: IntrospectionEvidence = createIntrospectionEvidence()
  readonly heldKeys: HeldDocuments
  private readonly context: IssuerContext
  private readonly metadataDocument: Watched<DatedMetadata>
  private readonly keys: PublishedKeys
  private readonly needs: Needs
  private readonly warnings: string[] = []

  constructor(settings: IssuerSettings, context: IssuerContext) {
    const { serial, http, now, deadline, callbackTimeout, keyMemory, shared } = context
    this.serial = serial
    this.settings = settings
    this.context = context
    this.needs = needsOf(settings)
    this.limits = createLimits(now)
    const fleetParts = fleetPartsOf(settings)
    this.metadataDocument = watchMetadata(settings, context, fleetParts, (document) => this.accept(document))
    this.keys = new PublishedKeys(settings, {
      http,
      now,
      deadline,
      metadata: this.metadataDocument,
      // The issuer's current settings, not the first ones: the function of the resolver's latest answer counts.
      credentials: () => jwksAuthFields(this.settings, callbackTimeout),
      shared,
      fleetParts,
      warn: (message) => this.warn(message),
      grew: (bytes) => keyMemory.grew(bytes)
    })
    this.heldKeys = new HeldDocuments(this.metadataDocument, this.keys, keyMemory)
    this.keySet = this.createKeySet()
  }

  revise(settings: IssuerSettings): void {
    this.settings = settings
  }

  metadata(): Awaitable<AuthorizationServerMetadata> {
    return andThen(this.metadataDocument.source(), ({ document }) => document)
  }

  introspectionEndpoint(): Awaitable<string> {
    this.heldKeys.use()
    return (
      this.settings.introspection?.endpoint ??
      andThen(this.metadataDocument.source(), ({ document }) => requireIntrospectionEndpoint(document, this.settings))
    )
  }

  keySetSettledUntil(): number {
    return this.keys.document.held()?.refreshAt ?? Number.NEGATIVE_INFINITY
  }

  keySetVersion(): number {
    return this.keys.version
  }

  async ready(): Promise<void> {
    if (this.needs.keys) await this.keys.current()
    if (this.settings.tokens !== 'jwt') await this.introspectionEndpoint()
  }

  async refresh(): Promise<void> {
    const failures: unknown[] = []
    const failed = (error: unknown): unknown => failures.push(error)
    const metadata = this.metadataDocument
    // The metadata come first, because they name the URL of the keys.
    if (this.needs.metadata || metadata.held() !== undefined) await metadata.refresh().catch(failed)
    if (this.needs.keys && !this.settings.jwks) await this.keys.document.refresh().catch(failed)
    if (failures.length > 0) throw failures[0]
  }

  warn(message: string, isUrgent = false): void {
    if (this.warnings.includes(message)) return
    this.warnings.push(message)
    if (this.warnings.length > MAX_WARNINGS) this.warnings.shift()
    this.context.warning(this.settings.issuer, message, isUrgent)
  }

  health(): IssuerHealth {
    const { document: keys } = this.keys
    const introspection = this.limits.health()
    const isBreakerOpen = this.settings.tokens !== 'jwt' && introspection.state === 'open'
    return {
      issuer: this.settings.issuer,
      status: statusOf(
        this.needs.keys ? [keys] : [],
        this.needs.metadata ? [this.metadataDocument] : [],
        this.context.now(),
        isBreakerOpen
      ),
      metadata: this.metadataDocument.health(),
      jwks: { ...keys.health(), keys: keys.held()?.size ?? 0 },
      introspection,
      warnings: [...this.warnings]
    }
  }

  private createKeySet(): KeySource<DatedKeySet> {
    const keySet: KeySource<DatedKeySet> = (butNot, missing) => {
      if (butNot !== undefined) return this.keys.find(butNot, missing)
      this.heldKeys.use()
      return this.keys.current()
    }
    keySet.suspect = () => this.keys.suspect()
    return keySet
  }

  private accept(document: AuthorizationServerMetadata): void {
    const { resource } = this.context
    const { protected_resources: resources } = document
    if (Array.isArray(resources) && !resources.includes(resource))
      this.warn(`metadata: \`protected_resources\` does not list ${resource} (RFC 9728 §4)`)
    if (document[DEVELOPMENT_MARKER] === true) this.warn(TRUSTS_DEVELOPMENT, true)
    this.heldKeys.grew(weighMetadata(document))
  }
}

/** The memory used by an issuer's metadata and keys. */
class HeldDocuments implements HeldKeys {
  used = 0
  private readonly metadata: Watched<DatedMetadata>
  private readonly keys: PublishedKeys
  private readonly memory: KeyMemory
  private metadataBytes = 0

  constructor(metadata: Watched<DatedMetadata>, keys: PublishedKeys, memory: KeyMemory) {
    this.metadata = metadata
    this.keys = keys
    this.memory = memory
  }

  get bytes(): number {
    return this.keys.bytes() + (this.metadata.held() ? this.metadataBytes : 0)
  }

  /** Marks the documents as the ones used last. */
  use(): void {
    this.used = this.memory.use()
  }

  /** Takes the size of new metadata. */
  grew(metadataBytes: number): void {
    this.metadataBytes = metadataBytes
    this.memory.grew(metadataBytes)
  }

  drop(): void {
    this.metadata.drop()
    this.keys.drop()
  }
}

/** The documents that an issuer's tokens need. */
interface Needs {
  readonly keys: boolean
  readonly metadata: boolean
}

function needsOf({ tokens, introspection, jwks, jwksUri }: IssuerSettings): Needs {
  // Signed introspection answers about opaque tokens need keys too (RFC 9701).
  const keys = tokens !== 'opaque' || introspection?.signedResponse === true
  const metadata =
    (keys && !jwks && jwksUri === undefined) || (tokens !== 'jwt' && introspection?.endpoint === undefined)
  return { keys, metadata }
}

function watchMetadata(
  settings: IssuerSettings,
  { http, now, shared }: IssuerContext,
  fleetParts: readonly string[],
  accept: (document: AuthorizationServerMetadata) => void
): Watched<DatedMetadata> {
  const discover = createDiscovery(settings, http)
  return watch<DatedMetadata>({
    load: async () => {
      const since = now()
      const { document, text } = await discover()
      return { document: { document, ...dates(since, METADATA_FRESH_FOR) }, text }
    },
    accept: ({ document }) => accept(document),
    now,
    staleFor: METADATA_STALE_FOR,
    patience: SILENT_AT * http.patience,
    fleet: shared && createMetadataFleet(settings, shared, now, fleetParts)
  })
}

function createMetadataFleet(
  { expectedMetadataIssuer }: IssuerSettings,
  shared: Shared,
  now: () => number,
  parts: readonly string[]
): Fleet<DatedMetadata> {
  return createFleet<DatedMetadata>(shared, {
    purpose: 'metadata',
    parts,
    read: (text, fetchedAt, freshFor) => {
      const document = readMetadata(text, expectedMetadataIssuer)
      if (typeof document === 'string') throw new TypeError(document)
      return { document, ...dates(fetchedAt, freshFor) }
    },
    now,
    maxFreshFor: METADATA_FRESH_FOR,
    staleFor: METADATA_STALE_FOR
  })
}

function statusOf(
  keys: Observed[],
  metadata: Observed[],
  time: number,
  isBreakerOpen: boolean
): IssuerHealth['status'] {
  const needed = [...keys, ...metadata]
  const isFailing = needed.some((one) => one.error() !== undefined)
  // Held keys verify tokens without metadata. Without keys, any failure is the cause.
  const isUseless = (keys.length > 0 ? keys : metadata).some((one) => one.usableUntil() <= time) && isFailing
  if (isUseless) return 'failed'
  return isBreakerOpen || isFailing ? 'degraded' : 'ok'
}

/** Identifies an issuer's documents for other processes: by the issuer, and by the URLs in the settings. */
function fleetPartsOf({
  issuer,
  expectedMetadataIssuer,
  metadataUrl = '',
  jwksUri = '',
  reachedAt
}: IssuerSettings): readonly string[] {
  const parts = [issuer, expectedMetadataIssuer, metadataUrl, jwksUri]
  return reachedAt === undefined ? parts : [...parts, reachedAt]
}
