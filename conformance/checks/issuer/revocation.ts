/**
 * Checks of revocation, in the ways that the user names: introspection, a status list, security events (RFC 8935) and back-channel
 * logout. They measure the time from the revocation to the first refusal.
 *
 * Tests: `test/conformance/mutants.suite.ts`.
 */
import type { Check, CheckContext, RevocationWay, SuiteIssuer, WireResponse } from '../../check.js'
import { bearer, fromNow, requireAcceptance, sendUntil, told } from './judge.js'
import * as source from './sources.js'

/** Seconds that a revocation may take, if the user names no other. */
const SECONDS = 60
/** Seconds before now at which the tokens were issued: an event ends those of before. */
const ISSUED_BEFORE = 30
const EVENT = 'https://schemas.openid.net/secevent/caep/event-type/session-revoked'
const LOGOUT = 'http://schemas.openid.net/event/backchannel-logout'

interface Revocable {
  readonly token: string
  revoke(): Promise<WireResponse | undefined>
}

interface WayCheck {
  readonly id: string
  readonly title: string
  readonly way: RevocationWay
  readonly start: (context: CheckContext) => Revocable
  /** True for a revocation that is not valid: the token must go on working. */
  readonly isForged?: true
}

function wayCheck({ id, title, way, start, isForged }: WayCheck): Check {
  return {
    id: `revocation-${id}`,
    title,
    profile: 'revocation',
    level: isForged ? 'hardening' : 'SHOULD',
    ...(!isForged && { source: source.INVALID_TOKEN }),
    needs: [way === 'introspection' ? 'introspection' : 'issuer', 'revocation'],
    isTimed: true,
    run: async (context) => {
      if (context.declared.revokedBy?.includes(way) !== true)
        context.skip(`the API is not told of revocations by ${way}`)
      const started = start(context)
      const { token } = started
      const change = `Configure revocation by ${way} for this issuer.`
      await requireAcceptance(context, bearer(token), 'The API accepts the token before it is revoked.', change)
      const answer = await started.revoke()
      if (isForged) await requireUnharmed(context, token, answer)
      else await requireEnd(context, token, answer, change)
    }
  }
}

async function requireEnd(
  context: CheckContext,
  token: string,
  answer: WireResponse | undefined,
  change: string
): Promise<void> {
  if (answer !== undefined && answer.status >= 300)
    context.fail({ expected: 'The API takes the event.', received: told(answer), change })
  const most = context.declared.revocationSeconds ?? SECONDS
  const isRefused = ({ status }: WireResponse): boolean => status === 401
  const { response, seconds, isRight } = await sendUntil(context, () => bearer(token), isRefused, most)
  if (!isRight)
    context.fail({
      expected: `The API refuses a revoked token with 401 within ${most} seconds.`,
      received: `${told(response)} That was ${Math.round(seconds)} seconds after the revocation.`,
      change
    })
}

async function requireUnharmed(context: CheckContext, token: string, answer: WireResponse | undefined): Promise<void> {
  const change = 'Verify the signature and the audience of each event before you act on it, and answer 400.'
  if (answer !== undefined && answer.status < 400)
    context.fail({ expected: 'The API refuses the event with 400.', received: told(answer), change })
  await requireAcceptance(context, bearer(token), 'The API still accepts the token.', change)
}

/** A token of a user of its own, which an event of this user ends. */
function ofUser(context: CheckContext, user: string, send: (sub: string) => Promise<WireResponse>): Revocable {
  const sub = `${user}-${Math.floor(context.issuer.now() * 1000)}`
  const claims = { sub, iat: fromNow(context, -ISSUED_BEFORE), auth_time: fromNow(context, -ISSUED_BEFORE) }
  return { token: context.issuer.token({ claims }), revoke: () => send(sub) }
}

/** A token that the authorization server itself ends: the API must ask, or look it up. */
function byServer(make: (issuer: SuiteIssuer) => string): WayCheck['start'] {
  return ({ issuer }) => {
    const token = make(issuer)
    const revoke = async (): Promise<undefined> => {
      issuer.revoke(token)
      return undefined
    }
    return { token, revoke }
  }
}

function byEvent(user: string, more: Readonly<Record<string, unknown>> = {}, key?: 'unpublished'): WayCheck['start'] {
  return (context) =>
    ofUser(context, user, (sub) => {
      const { issuer, declared } = context
      const claims = {
        aud: issuer.audience,
        sub_id: { format: 'iss_sub', iss: issuer.url, sub },
        events: { [EVENT]: { event_timestamp: fromNow(context, 0) } },
        ...more
      }
      const { eventTarget: target = context.skip('no target for events is named') } = declared
      const body = issuer.signed('secevent+jwt', claims, key)
      return context.send({ method: 'POST', target, fields: [['Content-Type', 'application/secevent+jwt']], body })
    })
}

function byLogout(user: string, more: Readonly<Record<string, unknown>> = {}, key?: 'unpublished'): WayCheck['start'] {
  return (context) =>
    ofUser(context, user, (sub) => {
      const { issuer, declared } = context
      const claims = { aud: 'client-1', sub, exp: fromNow(context, 120), events: { [LOGOUT]: {} }, ...more }
      const { logoutTarget: target = context.skip('no target for logout tokens is named') } = declared
      const body = `logout_token=${issuer.signed('logout+jwt', claims, key)}`
      const type = 'application/x-www-form-urlencoded'
      return context.send({ method: 'POST', target, fields: [['Content-Type', type]], body })
    })
}

/** Revocation in four ways. */
export const revocation: readonly Check[] = [
  wayCheck({
    id: 'introspection',
    title: 'An opaque token that was revoked is refused.',
    way: 'introspection',
    start: byServer((issuer) => issuer.opaque())
  }),
  wayCheck({
    id: 'status-list',
    title: 'A token that its status list marks invalid is refused.',
    way: 'status-list',
    start: byServer((issuer) => issuer.listed())
  }),
  wayCheck({
    id: 'event',
    title: 'A security event ends the tokens of its user.',
    way: 'event',
    start: byEvent('event')
  }),
  wayCheck({
    id: 'event-forged',
    title: 'A security event that an unknown key signed ends nothing.',
    way: 'event',
    isForged: true,
    start: byEvent('forged', {}, 'unpublished')
  }),
  wayCheck({
    id: 'event-audience',
    title: 'A security event for another receiver ends nothing.',
    way: 'event',
    isForged: true,
    start: byEvent('audience', { aud: 'https://another-api.example' })
  }),
  wayCheck({
    id: 'logout',
    title: 'A logout token ends the tokens of its user.',
    way: 'logout',
    start: byLogout('logout')
  }),
  wayCheck({
    id: 'logout-forged',
    title: 'A logout token that an unknown key signed ends nothing.',
    way: 'logout',
    isForged: true,
    start: byLogout('logout-forged', {}, 'unpublished')
  }),
  wayCheck({
    id: 'logout-nonce',
    title: 'A logout token with a nonce, which may be an ID token, ends nothing.',
    way: 'logout',
    isForged: true,
    start: byLogout('logout-nonce', { nonce: 'n' })
  })
]
