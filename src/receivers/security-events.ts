/**
 * Security events pushed to this API: Security Event Tokens (RFC 8417) over HTTP (RFC 8935), in the profile of the Shared
 * Signals Framework 1.0 (§4, §8). A session that was ended, a credential or claims that changed, an account that was
 * disabled (CAEP 1.0 §3, RISC 1.0 §2) revoke the access tokens of before; the transmitter is told what was wrong with what
 * it sent, and nothing of what became of it.
 *
 * Does NOT manage streams, poll (RFC 8936), or decrypt events, and does NOT remember across processes which events it has
 * seen: what an event revokes is the same, however often it comes.
 */

import { withDeadline } from '../base/awaitable.js'
import { createTimedCache, digestKey } from '../base/cache.js'
import { isObject } from '../base/json.js'
import { InvalidToken, ResourceServerError, Unavailable } from '../errors/errors.js'
import { isMediaType } from '../jwt/compact.js'
import type { UnverifiedJwt } from '../jwt/verify-jwt.js'
import type { Revocation } from '../revocation/revocation.js'
import { RevocationsFull } from '../revocation/revocations.js'
import type { ResourceServer } from '../server/interface.js'
import type { Awaitable, Claims } from '../types.js'
import { readSubject, revocationsOf } from './event-subjects.js'
import {
  beforeOf,
  createSenders,
  hasCome,
  hasMediaType,
  isFor,
  isName,
  RETRY_AFTER,
  type Receiver,
  type ReceiverAnswer,
  readEvent
} from './receiver.js'
import { isAuthorized, readTransmitter, type Transmitter, type TransmitterOptions } from './transmitters.js'

/** One event of a verified token. */
export interface SecurityEvent {
  /** `iss` of the transmitter. */
  readonly transmitter: string
  /** The event type's URI. */
  readonly type: string
  /** What it is about (RFC 9493); undefined where the event does not say. */
  readonly subject: Claims | undefined
  /** When it happened: `event_timestamp` of the event, else `toe`, else `iat`. Seconds since the epoch. */
  readonly at: number
  /** The event's own members. */
  readonly payload: Claims
}

/** Who may push security events (RFC 8935), and what they do. */
export interface SecurityEventOptions {
  readonly transmitters: readonly TransmitterOptions[]
  /**
   * What an event revokes, where that is not what this package makes of it: for subjects that only you can tell (`email`),
   * for other types. undefined: as it is; an empty list: nothing. `callbackTimeout` seconds.
   */
  readonly revocations?: (event: SecurityEvent) => Awaitable<readonly Revocation[] | undefined>
  /**
   * A transmitter verifies the stream (SSF 1.0 §8.1.4): is this the `state` that was asked for? All but `true` is answered
   * 400. Default: any is. `callbackTimeout` seconds.
   */
  readonly onVerification?: (state: string | undefined, transmitter: string) => Awaitable<boolean>
}

/** RFC 8935 §2.4, and `invalid_state` of SSF 1.0 §8.1.4.1. */
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
/** Events that are remembered, so that the same one has no second effect. */
const MAX_SEEN = 10_000
/** Seconds: a transmitter that was not answered tries again for hours, not for days. */
const SEEN_FOR = 24 * 3600
/** Events in one token: there should be one (SSF 1.0 §4.1.5), and each may cost a function of the user's its time. */
const MAX_EVENTS = 16

/**
 * A receiver of security events for this API. Mount it with the `securityEvents` of an adapter, behind no `protect`.
 *
 * @throws {TypeError} listing every problem of the options
 */
export function securityEventReceiver(api: ResourceServer<never>, options: SecurityEventOptions): Receiver {
  const { internals, byIssuer } = createSenders(
    api,
    'securityEventReceiver()',
    'transmitters',
    options.transmitters,
    (entry: TransmitterOptions, path, problems, lent) =>
      readTransmitter(entry, path, problems, lent, options.revocations !== undefined)
  )
  const { now, deadline } = internals
  const seen = createTimedCache<true>(MAX_SEEN)
  /** The same one, sent again before it was answered, shares the outcome. */
  const heeding = new Map<string, Promise<void>>()

  const receive: Receiver = async (request) => {
    if (request.method !== 'POST') return { ...answer(405), headers: { Allow: 'POST' } }
    try {
      if (!hasMediaType(request.contentType, 'application/secevent+jwt'))
        throw new Rejected('invalid_request', 'The content type is not application/secevent+jwt')
      const event = readEvent(request.body)
      if (event === undefined) throw new Rejected('invalid_request', 'The body is not a signed security event token')
      const transmitter = byIssuer.get(event.claims['iss'] as string)
      if (transmitter === undefined) throw new Rejected('invalid_issuer', 'The issuer is not accepted')
      if (!isAuthorized(transmitter, request.authorization))
        throw new Rejected('authentication_failed', 'The Authorization field is not the one that was registered')
      const claims = requireSet(event, transmitter, now())
      await transmitter.verify(event.jwt)
      await heedOnce(claims, transmitter)
      return answer(202)
    } catch (error) {
      return answerTo(error)
    }
  }

  /** After its signature was verified: nobody else can make us remember, or forget, what was seen. */
  const heedOnce = async (claims: EventClaims, transmitter: Transmitter): Promise<void> => {
    const key = digestKey(transmitter.issuer, claims.jti)
    if (seen.get(key, now())) return
    const under = heeding.get(key)
    if (under !== undefined) return under
    const all = heedAll(claims, transmitter).finally(() => heeding.delete(key))
    heeding.set(key, all)
    await all
    // Only what had its whole effect need not come again.
    seen.set(key, true, now(), now() + SEEN_FOR)
  }
  const heedAll = async (claims: EventClaims, transmitter: Transmitter): Promise<void> => {
    for (const [type, payload] of Object.entries(claims.events)) await heed(type, payload, claims, transmitter)
  }

  const heed = async (type: string, payload: Claims, claims: EventClaims, transmitter: Transmitter): Promise<void> => {
    if (type === VERIFICATION) {
      const { state } = payload
      const known = await ask('onVerification', () =>
        options.onVerification?.(typeof state === 'string' ? state : undefined, transmitter.issuer)
      )
      // Also where it answers nothing: who compares must say yes.
      if (options.onVerification && known !== true)
        throw new Rejected('invalid_state', 'The state is not the one that was asked for')
      return
    }
    const event: SecurityEvent = {
      transmitter: transmitter.issuer,
      type,
      subject: readSubject(claims.sub_id, payload),
      at: [payload['event_timestamp'], claims.toe].find(isTime) ?? claims.iat,
      payload
    }
    const own = await ask('revocations', () => options.revocations?.(event))
    const revocations = own?.map((one) => asOf(event.at, one, now())) ?? revocationsOf(event, transmitter, now())
    if (revocations.length > 0) await internals.revoke(revocations)
  }

  /** What a function of the user's answers, which is an outage where it fails: the event is to come again. */
  const ask = async <T>(option: string, call: () => Awaitable<T>): Promise<T> => {
    const late = (): Error => new Error(`\`${option}\` did not answer within ${deadline} s`)
    const called = async (): Promise<T> => call()
    try {
      return await withDeadline(called(), deadline, late)
    } catch (error) {
      internals.warning('', `security events: ${error instanceof Error ? error.message : String(error)}`)
      throw new Unavailable('issuer', `\`${option}\` failed`, { cause: error, retryAfter: RETRY_AFTER })
    }
  }
  return receive
}

/** What names no time is as old as the event: heard late, or once more, it must not end what was issued since. */
function asOf(at: number, revocation: Revocation, now: number): Revocation {
  const { before, subject, sessionId, clientId } = (revocation ?? {}) as unknown as Partial<Record<string, unknown>>
  const isDated = before !== undefined || [subject, sessionId, clientId].every((name) => name === undefined)
  return isDated ? revocation : ({ ...revocation, before: beforeOf(at, now) } as Revocation)
}

/** The claims of a security event token, by RFC 8417 §2.2 and SSF 1.0 §4.1. */
interface EventClaims {
  readonly jti: string
  readonly iat: number
  readonly toe: unknown
  readonly sub_id: unknown
  readonly events: Readonly<Record<string, Claims>>
}

function requireSet(
  { jwt, claims }: { readonly jwt: UnverifiedJwt; readonly claims: Claims },
  { audience }: Transmitter,
  now: number
): EventClaims {
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

function answer(status: number): ReceiverAnswer {
  return { status, headers: { 'Cache-Control': 'no-store' }, body: '' }
}

/** @throws what is a bug, and no answer */
function answerTo(error: unknown): ReceiverAnswer {
  if (error instanceof Rejected) return reject(error.fault, error.message)
  // What is wrong with its signature is all that a verified key set says of a token.
  if (error instanceof InvalidToken) return reject('invalid_key', 'The signature could not be verified')
  // Ours, not the transmitter's: it keeps the event and sends it again (RFC 8935 §2.3 is about its mistakes only).
  const retryAfter = error instanceof Unavailable ? error.retryAfter : RETRY_AFTER
  if (!(error instanceof ResourceServerError || error instanceof RevocationsFull)) throw error
  return { ...answer(503), headers: { 'Retry-After': String(retryAfter), 'Cache-Control': 'no-store' } }
}

function reject(fault: Fault, description: string): ReceiverAnswer {
  return {
    status: 400,
    headers: { 'Content-Type': 'application/json', 'Content-Language': 'en', 'Cache-Control': 'no-store' },
    body: JSON.stringify({ err: fault, description })
  }
}
