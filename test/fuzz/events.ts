/** Targets that are pushed: security event tokens, and the form with a logout token. An input is the body. */
import { expect } from 'vitest'
import {
  logoutTokenReceiver,
  type Receiver,
  type ResourceServer,
  resourceServer,
  securityEventReceiver
} from '../../src/index.js'
import type { Issuer } from '../../src/issuer/issuer.js'
import { createRevocations } from '../../src/revocation/revocations.js'
import { borrow, lend } from '../../src/server/internals.js'
import { audienceOf, isNumber, isObject, isText, verified } from './oracle.js'
import type { Target } from './target.js'
import { CLIENT, ISSUER, JWKS, NOW, RESOURCE, TOLERANCE, TRANSMITTER } from './world.js'

type Json = Record<string, unknown>

/** What is to become of an event: taken or not, and whether it ends the user's tokens. */
interface Effect {
  readonly taken: boolean
  readonly revokes: boolean
}

const NOTHING: Effect = { taken: false, revokes: false }
const CONTENT_TYPES = {
  event: 'application/secevent+jwt',
  logout: 'application/x-www-form-urlencoded'
}

interface Setting {
  readonly contentType: string
  readonly success: number
  readonly receiverOf: (api: ResourceServer) => Receiver
  readonly effectOf: (body: string) => Promise<Effect>
}

function pushed({ contentType, success, receiverOf, effectOf }: Setting): Target {
  const api = resourceServer({ resource: RESOURCE, issuers: [{ issuer: ISSUER, jwks: JWKS as never }], now: () => NOW })
  const internals = borrow(api, 'the fuzzer')
  let sender: Issuer | undefined
  return {
    run: async (input) => {
      const body = Buffer.from(input, 'latin1').toString()
      // A server takes a while to make, and a memory of what was revoked does not: each input has one of its own.
      const memory = createRevocations({ now: () => NOW, keepFor: 3600, maxEntries: 4096 })
      const lender = {}
      lend(lender, {
        ...internals,
        // The same settings each time, and whoever may send is remembered for good.
        createIssuer: (settings) => {
          sender ??= internals.createIssuer(settings)
          return sender
        },
        revoke: async (list) => void memory.revoke(list)
      })
      const answer = await receiverOf(lender as ResourceServer)({ method: 'POST', contentType, body })
      expect([success, 400]).toContain(answer.status)
      expect(answer.body.length + JSON.stringify(answer.headers).length).toBeLessThan(1024)
      const effect = await effectOf(body)
      expect(answer.status === success, answer.body).toBe(effect.taken)
      expect(memory.isRevoked(TOKEN)).toBe(effect.revokes)
      // One event is about few.
      expect(memory.stats().entries).toBeLessThan(256)
      const { err, error_description: said = err } = JSON.parse(answer.body || '{}') as Record<string, string>
      return effect.taken ? `taken${effect.revokes ? ', revokes' : ''}` : (said ?? 'refused')
    },
    close: () => api.close()
  }
}

/** The access token that an event may be about. */
const TOKEN = {
  issuer: ISSUER,
  issuedBy: { settings: { acceptedIssuers: new Set([ISSUER]) } },
  subject: 'u1',
  clientId: 'c1',
  issuedAt: NOW - 10,
  claims: { jti: 't1', sid: 'x1' }
}

/** Seconds that times of an event may lie ahead. */
const AHEAD = 60
const hasCome = (time: unknown): time is number => isNumber(time) && time <= NOW + AHEAD
/** By events of whole seconds the whole second counts as before; the tokens are of ten seconds ago. */
const isBefore = (at: number): boolean => NOW - 10 < (Number.isInteger(at) ? at + 1 : at)
const isName = (name: unknown): boolean => isText(name) && name.length <= 2048

// ---- security events

export function securityEvents(): Target {
  return pushed({
    contentType: CONTENT_TYPES.event,
    success: 202,
    receiverOf: (api) =>
      securityEventReceiver(api, {
        transmitters: [{ issuer: TRANSMITTER, jwks: JWKS as never, tokenIssuers: [ISSUER] }]
      }),
    effectOf: async (body) => {
      const jws =
        body.length <= 65_536
          ? await verified(body, { types: ['application/secevent+jwt'], tolerance: AHEAD })
          : undefined
      if (jws === undefined) return NOTHING
      const { iss, aud, iat, exp, sub, jti, events } = jws.claims
      const isSet =
        iss === TRANSMITTER &&
        audienceOf(aud).includes(RESOURCE) &&
        hasCome(iat) &&
        exp === undefined &&
        sub === undefined &&
        isName(jti) &&
        isObject(events) &&
        Object.values(events).length > 0 &&
        Object.values(events).length <= 16 &&
        Object.values(events).every(isObject)
      if (!isSet) return NOTHING
      const all = Object.entries(events as Record<string, Json>)
      return { taken: true, revokes: all.some(([type, event]) => revokes(type, event, jws.claims)) }
    }
  })
}

const REVOKING = [
  'caep/event-type/session-revoked',
  'caep/event-type/token-claims-change',
  'caep/event-type/credential-change',
  'risc/event-type/account-disabled',
  'risc/event-type/account-purged',
  'risc/event-type/sessions-revoked'
].map((type) => `https://schemas.openid.net/secevent/${type}`)

function revokes(type: string, event: Json, { sub_id: subId, toe, iat }: Json): boolean {
  const subject = isObject(subId) ? subId : event['subject']
  if (!REVOKING.includes(type) || !isObject(subject)) return false
  const said = [event['event_timestamp'], toe, iat].find(isNumber) as number
  const at = hasCome(said) ? said : NOW
  const { format, user, session } = subject
  if (format !== undefined && format !== 'complex') return names(subject, at)
  const isSession = isObject(session) && session['format'] === 'opaque' && session['id'] === 'x1' && isBefore(at)
  const bySession = isObject(session) && session['format'] !== 'opaque' && names(session, at)
  // `tokensHaveSid` is not set, so the session counts only where the user cannot be told.
  return isObject(user) && canBeTold(user) ? names(user, at) : isSession || bySession
}

/** Whether a simple subject, or one of its aliases, is a user or a token of our issuer. */
function canBeTold({ format, iss, sub, jti, identifiers }: Json): boolean {
  if (format === 'aliases' && Array.isArray(identifiers))
    return identifiers.slice(0, 32).some((one) => isObject(one) && one['format'] !== 'aliases' && canBeTold(one))
  return iss === ISSUER && ((format === 'jwt_id' && isName(jti)) || (format === 'iss_sub' && isName(sub)))
}

/** Whether a simple subject, or one of its aliases, is our user or our token. */
function names({ format, iss, sub, jti, identifiers }: Json, at: number): boolean {
  if (format === 'aliases' && Array.isArray(identifiers))
    return identifiers.slice(0, 32).some((one) => isObject(one) && one['format'] !== 'aliases' && names(one, at))
  if (iss !== ISSUER) return false
  return (format === 'jwt_id' && jti === 't1') || (format === 'iss_sub' && sub === 'u1' && isBefore(at))
}

// ---- logout tokens

const LOGOUT = 'http://schemas.openid.net/event/backchannel-logout'

export function logoutTokens(): Target {
  return pushed({
    contentType: CONTENT_TYPES.logout,
    success: 200,
    receiverOf: (api) =>
      logoutTokenReceiver(api, { issuers: [{ issuer: ISSUER, clientId: CLIENT, jwks: JWKS as never }] }),
    effectOf: async (body) => {
      const [token = '', another] = new URLSearchParams(body).getAll('logout_token')
      const types = ['application/logout+jwt', 'application/jwt', undefined]
      const jws =
        another === undefined && token.length <= 65_536 ? await verified(token, { types, tolerance: AHEAD }) : undefined
      if (jws === undefined) return NOTHING
      const { iss, aud, iat, exp, jti, sub, sid, nonce, events } = jws.claims
      const isLogout =
        iss === ISSUER &&
        audienceOf(aud).includes(CLIENT) &&
        hasCome(iat) &&
        (exp as number) > NOW - TOLERANCE &&
        isName(jti) &&
        nonce === undefined &&
        (sub !== undefined || sid !== undefined) &&
        [sub, sid].every((one) => one === undefined || isName(one)) &&
        isObject(events) &&
        isObject(events[LOGOUT])
      if (!isLogout) return NOTHING
      // `tokensHaveSid` is not set, so the session counts only where the user is not named.
      return { taken: true, revokes: isBefore(iat) && (sub === undefined ? sid === 'x1' : sub === 'u1') }
    }
  })
}
