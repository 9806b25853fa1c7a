/**
 * Checks of revocation, in the ways that the user names: introspection, a status list, security events (RFC 8935) and back-channel
 * logout. They measure the time from the revocation to the first refusal.
 *
 * Tests: `test/conformance/mutants.suite.ts`.
 */
import { setTimeout } from 'node:timers/promises'
import type { Check, CheckContext, OpenAnswer, RevocationWay, SuiteIssuer, WireResponse } from '../../check.js'
import { requestsFor } from '../jose/jose.js'
import * as source from '../sources.js'
import { fromNow, isAccepted, LOOK_EVERY, requireAcceptance, sendUntil, told, withToken } from './judge.js'

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
      await requireAcceptance(context, withToken(token), 'The API accepts the token before it is revoked.', change)
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
  const { response, seconds, isRight } = await sendUntil(context, () => withToken(token), isRefused, most)
  context.measured(seconds, isRight ? 'from the revocation to the refusal' : 'after the revocation without a refusal')
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
  await requireAcceptance(context, withToken(token), 'The API still accepts the token.', change)
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

/** The ways in which an API learns of a revocation without a request. */
const STREAM_WAYS: readonly (readonly [name: RevocationWay, start: WayCheck['start']])[] = [
  ['event', byEvent('stream')],
  ['logout', byLogout('stream')]
]

const changeStream =
  'End each open answer when its token ends or is revoked: keep the answers by token, or check the token again in a while.'
/** Seconds for which a stream of a good token is watched, and until the token of the second check ends. */
const WATCHED = 3

/** Waits until the answer ends, at most so many seconds. */
async function endsWithin(answer: OpenAnswer, seconds: number): Promise<boolean> {
  const until = performance.now() + seconds * 1000
  while (!answer.hasEnded && performance.now() < until) await setTimeout(LOOK_EVERY)
  return answer.hasEnded
}

/** A check of an answer that stays open. @param start  its token, and how it ends: within the seconds that `end` returns. Without `end` it goes on */
function streamCheck(
  id: string,
  title: string,
  start: (context: CheckContext) => { readonly token: string; readonly end?: () => Promise<number> }
): Check {
  return {
    id: `stream-${id}`,
    title,
    profile: 'revocation',
    level: 'hardening',
    needs: ['issuer'],
    isTimed: true,
    run: async (context) => {
      const target = context.declared.stream ?? context.skip('no route whose answer stays open is named')
      const { token, end } = start(context)
      const answer = await context.open(withToken(token, target))
      const seconds = answer.status < 400 && !answer.hasEnded ? ((await end?.()) ?? WATCHED) : 0
      const began = performance.now()
      const hasEnded = await endsWithin(answer, seconds)
      if (end !== undefined && hasEnded) context.measured((performance.now() - began) / 1000, 'until the answer ended')
      answer.close()
      const received = `The API answered ${answer.status}${hasEnded ? ', and the answer ended' : ''}.`
      if (seconds === 0 || (end === undefined && hasEnded))
        context.fail({
          expected: `The API accepts the token, and its answer is still open after ${WATCHED} seconds.`,
          received,
          change: 'Name a route whose answer stays open, such as an event stream.'
        })
      if (end !== undefined && !hasEnded)
        context.fail({
          expected: `The API ends the answer within ${seconds} seconds.`,
          received: 'The answer was still open.',
          change: changeStream
        })
    }
  }
}

const streams: readonly Check[] = [
  streamCheck('good', 'The open answer to a good token goes on.', ({ issuer }) => ({ token: issuer.token() })),
  streamCheck('expired', 'An open answer ends when its token ends.', (context) => ({
    token: context.issuer.token({ claims: { exp: fromNow(context, WATCHED) } }),
    end: async () => WATCHED + (context.declared.revocationSeconds ?? SECONDS)
  })),
  streamCheck('revoked', 'An open answer ends when its token is revoked.', (context) => {
    const { revokedBy = [] } = context.declared
    const way = STREAM_WAYS.find(([name]) => revokedBy.includes(name))?.[1]
    const started = (way ?? context.skip('the API is not told of revocations by event or logout'))(context)
    const end = async (): Promise<number> => {
      await started.revoke()
      return context.declared.revocationSeconds ?? SECONDS
    }
    return { token: started.token, end }
  })
]

/** The list goes to the API over a cache, such as a CDN: only its signature says whose it is. */
const forgedList: Check = {
  id: 'revocation-status-list-forged',
  title: 'A status list that an unknown key signed brings no revoked token back.',
  profile: 'revocation',
  level: 'hardening',
  needs: ['issuer', 'revocation'],
  isTimed: true,
  run: async (context) => {
    const { issuer, declared } = context
    if (declared.revokedBy?.includes('status-list') !== true)
      context.skip('the API is not told of revocations by status-list')
    const seconds = declared.revocationSeconds ?? SECONDS
    const token = issuer.listed()
    issuer.revoke(token)
    const { isRight } = await sendUntil(context, () => withToken(token), isRefused, seconds)
    if (!isRight) context.skip('the API does not refuse the token by its status list, which another check says')
    issuer.fail('status-list', 'lie')
    try {
      const before = requestsFor(context, '/status')
      const isAsked = (): boolean => requestsFor(context, '/status') > before
      const asked = await sendUntil(
        context,
        () => withToken(token),
        (one) => isAsked() || isAccepted(one),
        seconds
      )
      if (!asked.isRight) context.skip('the API did not read the status list again')
      // The answer that comes while the list is read may be one by the former list.
      for (const response of [asked.response, await context.send(withToken(token))])
        if (isAccepted(response))
          context.fail({
            expected: 'The API does not accept the token.',
            received: `${told(response)} It accepted the request.`,
            change: 'Verify the signature, `typ`, `sub` and times of a status list token with the keys of its issuer.'
          })
    } finally {
      issuer.recover()
    }
  }
}

/** 503 and 429 tell nothing about the token. */
const isRefused = ({ status }: WireResponse): boolean => [401, 403, 404].includes(status)

/** Revocation in four ways. */
export const revocation: readonly Check[] = [
  ...streams,
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
  forgedList,
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
    id: 'logout-audience',
    title: 'A logout token for another client ends nothing.',
    way: 'logout',
    isForged: true,
    start: byLogout('logout-audience', { aud: 'another-client' })
  }),
  wayCheck({
    id: 'logout-nonce',
    title: 'A logout token with a nonce, which may be an ID token, ends nothing.',
    way: 'logout',
    isForged: true,
    start: byLogout('logout-nonce', { nonce: 'n' })
  })
]
