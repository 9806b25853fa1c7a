/**
 * Receives security events that a transmitter pushes to this API: Security Event Tokens (RFC 8417) over HTTP (RFC 8935), in
 * the profile of the Shared Signals Framework 1.0 (§4, §8). An ended session, a changed credential or claim, or a disabled
 * account (CAEP 1.0 §3, RISC 1.0 §2) revokes the access tokens issued before it. The answer names a fault in the
 * transmitter's request, and never the effect of an event.
 *
 * Does NOT manage streams, poll (RFC 8936), or decrypt events. Processes do NOT share the events that they have seen:
 * an event revokes the same tokens however often it arrives.
 *
 * Tests: `test/rfc/rfc8935-set.test.ts`.
 */

import { withDeadline } from '../base/awaitable.js'
import { isName } from '../base/bounds.js'
import { createTimedCache, digestKey } from '../base/cache.js'
import { isObject } from '../base/json.js'
import { requireOptions } from '../base/options/spelling.js'
import { InvalidToken, Unavailable } from '../errors/errors.js'
import { isMediaType } from '../jwt/compact.js'
import type { Revocation } from '../revocation/revocation.js'
import type { ResourceServer } from '../server/interface.js'
import type { Internals } from '../server/internals.js'
import type { Awaitable, Claims } from '../types.js'
import { readSubject, revocationsOf } from './event-subjects.js'
import {
  beforeOf,
  createSenders,
  hasCome,
  hasMediaType,
  isFor,
  type ReceivedRequest,
  type Receiver,
  type ReceiverAnswer,
  readEvent
} from './receiver.js'
import { badRequest, methodNotAllowed, RETRY_AFTER, succeeded, unavailable } from './reply.js'
import { isAuthorized, readTransmitter, type Transmitter, type TransmitterOptions } from './transmitters.js'

/** One event of a verified security event token. */
export interface SecurityEvent {
  /** `iss` of the transmitter. */
  readonly transmitter: string
  /** URI of the event type. */
  readonly type: string
  /** The subject identifier of the event (RFC 9493); undefined if the event has none. */
  readonly subject: Claims | undefined
  /** When the event happened, in seconds since the epoch: its `event_timestamp`, else `toe`, else `iat`. */
  readonly at: number
  /** The event's own members. */
  readonly payload: Claims
}

/** Which transmitters may push security events (RFC 8935), and what their events do. */
export interface SecurityEventOptions {
  readonly transmitters: readonly TransmitterOptions[]
  /**
   * Replaces the default effect of an event: for subjects that only you can resolve (`email`), or for other event types.
   * Return undefined for the default effect, or an empty list for no effect. May take `callbackTimeout` seconds.
   */
  readonly revocations?: (event: SecurityEvent) => Awaitable<readonly Revocation[] | undefined>
  /**
   * Called when a transmitter verifies the stream (SSF 1.0 §8.1.4): return true if you asked for this `state`. Any other
   * result is answered 400. Default: every state is accepted. May take `callbackTimeout` seconds.
   */
  readonly onVerification?: (state: string | undefined, transmitter: string) => Awaitable<boolean>
}

const EXAMPLES: Readonly<Record<keyof SecurityEventOptions, unknown>> = {
  transmitters: [],
  revocations: () => undefined,
  onVerification: () => true
}

/** Error codes of RFC 8935 §2.4, and `invalid_state` of SSF 1.0 §8.1.4.1. */
type Fault =
  | 'invalid_request'
  | 'invalid_key'
  | 'invalid_issuer'
  | 'invalid_audience'
  | 'authentication_failed'
  | 'invalid_state'

class Rejected extends Error {
  readonly fault: Fault

  constructor(fault: Fault, description: string) {
    super(description)
    this.fault = fault
  }
}

const VERIFICATION = 'https://schemas.openid.net/secevent/ssf/event-type/verification'
/** Maximum events that are remembered, so that a repeated event has no second effect. */
const MAX_SEEN = 10_000
/** Seconds that an event is remembered: transmitters retry for hours, not for days. */
const SEEN_FOR = 24 * 3600
/** Maximum events in one token. There should be one (SSF 1.0 §4.1.5), and each can call a function of yours. */
const MAX_EVENTS = 16

/**
 * Creates a receiver of security events for this API. Mount it with the `securityEvents` of an adapter, not behind `protect`.
 *
 * @throws {TypeError} listing every problem of the options
 */
export function securityEventReceiver(api: ResourceServer<never>, options: SecurityEventOptions): Receiver {
  requireOptions('securityEventReceiver()', options, EXAMPLES)
  const { internals, byIssuer } = createSenders(
    api,
    'securityEventReceiver()',
    'transmitters',
    options.transmitters,
    (entry: TransmitterOptions, path, problems, lent) =>
      readTransmitter(entry, path, problems, lent, options.revocations !== undefined)
  )
  const receiver = new SecurityEventReceiver(internals, byIssuer, options)
  return (request) => receiver.receive(request)
}

/** A signed JWT whose signature is not verified yet. */
type UnverifiedEvent = NonNullable<ReturnType<typeof readEvent>>

class SecurityEventReceiver {
  private readonly internals: Internals
  private readonly byIssuer: ReadonlyMap<string, Transmitter>
  private readonly options: SecurityEventOptions
  private readonly seen = createTimedCache<true>(MAX_SEEN)
  /** Tokens in progress. A token that is sent again before its answer shares the outcome. */
  private readonly heeding = new Map<string, Promise<void>>()

  constructor(internals: Internals, byIssuer: ReadonlyMap<string, Transmitter>, options: SecurityEventOptions) {
    this.internals = internals
    this.byIssuer = byIssuer
    this.options = options
  }

  async receive(request: ReceivedRequest): Promise<ReceiverAnswer> {
    if (request.method !== 'POST') return methodNotAllowed()
    try {
      const event = readRequest(request)
      const transmitter = this.requireTransmitter(event, request.authorization)
      const claims = requireSet(event, transmitter, this.internals.now())
      await transmitter.verify(event.jwt)
      await this.heedOnce(claims, transmitter)
      return succeeded(202)
    } catch (error) {
      return answerTo(error)
    }
  }

  private requireTransmitter({ claims }: UnverifiedEvent, authorization: string | undefined): Transmitter {
    const transmitter = this.byIssuer.get(claims['iss'] as string)
    if (transmitter === undefined) throw new Rejected('invalid_issuer', 'The issuer is not accepted')
    if (!isAuthorized(transmitter, authorization))
      throw new Rejected('authentication_failed', 'The Authorization field is not the one that was registered')
    return transmitter
  }

  /** Runs after the signature is verified, so that only the transmitter can add to the events that were seen. */
  private async heedOnce(claims: EventClaims, transmitter: Transmitter): Promise<void> {
    const { now } = this.internals
    const key = digestKey(transmitter.issuer, claims.jti)
    if (this.seen.get(key, now())) return
    const under = this.heeding.get(key)
    if (under !== undefined) return under
    const all = this.heedAll(claims, transmitter).finally(() => this.heeding.delete(key))
    this.heeding.set(key, all)
    await all
    // Only after all events took effect: after a failure the transmitter must be able to retry.
    this.seen.set(key, true, now(), now() + SEEN_FOR)
  }

  private async heedAll(claims: EventClaims, transmitter: Transmitter): Promise<void> {
    for (const [type, payload] of Object.entries(claims.events))
      await (type === VERIFICATION
        ? this.verifyStream(payload, transmitter)
        : this.revoke(type, payload, claims, transmitter))
  }

  /** SSF 1.0 §8.1.4. */
  private async verifyStream({ state }: Claims, { issuer }: Transmitter): Promise<void> {
    const known = await this.ask('onVerification', () =>
      this.options.onVerification?.(typeof state === 'string' ? state : undefined, issuer)
    )
    // Exactly true: a callback that returns nothing has not confirmed the state.
    if (this.options.onVerification && known !== true)
      throw new Rejected('invalid_state', 'The state is not the one that was asked for')
  }

  private async revoke(type: string, payload: Claims, claims: EventClaims, transmitter: Transmitter): Promise<void> {
    const { now } = this.internals
    const event: SecurityEvent = {
      transmitter: transmitter.issuer,
      type,
      subject: readSubject(claims.sub_id, payload),
      at: [payload['event_timestamp'], claims.toe].find(isTime) ?? claims.iat,
      payload
    }
    const own = await this.ask('revocations', () => this.options.revocations?.(event))
    const revocations = own?.map((one) => asOf(event.at, one, now())) ?? revocationsOf(event, transmitter, now())
    if (revocations.length > 0) await this.internals.revoke(revocations)
  }

  /** Calls a function of the options. @throws {Unavailable} it failed or was late: the transmitter must retry */
  private async ask<T>(option: keyof SecurityEventOptions, call: () => Awaitable<T>): Promise<T> {
    const { deadline, warning } = this.internals
    const late = (): Error => new Error(`\`${option}\` did not answer within ${deadline} s`)
    const called = async (): Promise<T> => call()
    try {
      return await withDeadline(called(), deadline, late)
    } catch (error) {
      warning('', `security events: ${error instanceof Error ? error.message : String(error)}`)
      throw new Unavailable('issuer', `\`${option}\` failed`, { cause: error, retryAfter: RETRY_AFTER })
    }
  }
}

/** @throws {Rejected} */
function readRequest({ contentType, body }: ReceivedRequest): UnverifiedEvent {
  if (!hasMediaType(contentType, 'application/secevent+jwt'))
    throw new Rejected('invalid_request', 'The content type is not application/secevent+jwt')
  const event = readEvent(body)
  if (event === undefined) throw new Rejected('invalid_request', 'The body is not a signed security event token')
  return event
}

/**
 * Dates a revocation without a time by its event: an event that arrives late, or twice, must not revoke tokens issued after
 * it happened.
 */
function asOf(at: number, revocation: Revocation, now: number): Revocation {
  const { before, subject, sessionId, clientId } = (revocation ?? {}) as unknown as Partial<Record<string, unknown>>
  const isDated = before !== undefined || [subject, sessionId, clientId].every((name) => name === undefined)
  return isDated ? revocation : ({ ...revocation, before: beforeOf(at, now) } as Revocation)
}

/** The claims of a security event token (RFC 8417 §2.2, SSF 1.0 §4.1). */
interface EventClaims {
  readonly jti: string
  readonly iat: number
  readonly toe: unknown
  readonly sub_id: unknown
  readonly events: Readonly<Record<string, Claims>>
}

/** Checks everything but the signature. @throws {Rejected} */
function requireSet({ jwt, claims }: UnverifiedEvent, { audience }: Transmitter, now: number): EventClaims {
  const { jti, iat, nbf, aud, exp, sub, events } = claims
  const fault =
    (!isMediaType(jwt.unverifiedHeader['typ'], 'application/secevent+jwt') && '`typ` is not secevent+jwt') ||
    (exp !== undefined && '`exp` must not be there') ||
    (sub !== undefined && '`sub` must not be there: use `sub_id`') ||
    (!isName(jti) && '`jti` is not a text') ||
    (!hasCome(iat, now) && '`iat` is not a time that has come') ||
    (nbf !== undefined && !hasCome(nbf, now) && '`nbf` is not a time that has come') ||
    (!isEvents(events) && '`events` is not an object of events')
  if (fault) throw new Rejected('invalid_request', fault)
  if (!isFor(aud, audience)) throw new Rejected('invalid_audience', 'The audience is not this receiver')
  return claims as unknown as EventClaims
}

function isEvents(value: unknown): boolean {
  const events = isObject(value) ? Object.values(value) : []
  return events.length > 0 && events.length <= MAX_EVENTS && events.every(isObject)
}

function isTime(value: unknown): value is number {
  return Number.isFinite(value)
}

/** @throws the error itself, if it is a bug */
function answerTo(error: unknown): ReceiverAnswer {
  if (error instanceof Rejected) return reject(error.fault, error.message)
  // Verification against a key set that was fetched throws InvalidToken only for the signature.
  if (error instanceof InvalidToken) return reject('invalid_key', 'The signature could not be verified')
  // RFC 8935 §2.3 names faults of the transmitter only; this fault is ours, so the transmitter must retry.
  return unavailable(error)
}

function reject(fault: Fault, description: string): ReceiverAnswer {
  return badRequest({ err: fault, description }, 'en')
}
