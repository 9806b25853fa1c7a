/**
 * Sends tokens and judges the answers, for the checks with an authorization server: accepted is a status below 400 that is not a
 * redirect to a login page, refused is a status of the client's fault. A server that fails itself (500) has not refused.
 *
 * Tests: `test/conformance/mutants.suite.ts`.
 */
import { setTimeout } from 'node:timers/promises'
import type {
  Check,
  CheckContext,
  Level,
  Need,
  Profile,
  Source,
  TokenFlaw,
  WireRequest,
  WireResponse
} from '../../check.js'

/** Seconds in which an API learns of new keys and recovers: more than usual circuit breakers and pauses between two fetches take. */
const RECOVERY_SECONDS = 90
/** Longest Retry-After of a 503 that a check waits for, in seconds. */
const MAX_WAIT = 60
/** Milliseconds between two looks at something that takes its time. */
export const LOOK_EVERY = 250

export type Fields = readonly (readonly [name: string, value: string])[]

/** A request with this token, which the run presents as the API takes it. */
export function withToken(token: string, target?: string): WireRequest {
  return { token, ...(target !== undefined && { target }) }
}

export function isAccepted({ status, isTurnedAway }: WireResponse): boolean {
  return status < 400 && isTurnedAway !== true
}

/** The value of the field, or of its lines joined. */
export function fieldOf(response: WireResponse, name: string): string | undefined {
  const lines = response.fields.filter(([one]) => one === name).map(([, value]) => value)
  return lines.length === 0 ? undefined : lines.join(', ')
}

/** The status and challenge of an answer, for a finding. */
export function told(response: WireResponse): string {
  const challenge = fieldOf(response, 'www-authenticate')
  return `The API answered ${response.status}${challenge === undefined ? '' : ` with the challenge: ${challenge.slice(0, 200)}`}.`
}

/** @throws {Failed} the API accepted the request, or failed with a status of 500 or above */
export async function requireRefusal(
  context: CheckContext,
  request: WireRequest,
  expected: string,
  change: string
): Promise<WireResponse> {
  const first = await context.send(request)
  // An API, or a proxy in front of it, that limits fetches of keys says when it can tell.
  const seconds = first.status === 503 ? Number(fieldOf(first, 'retry-after')) : Number.NaN
  if (seconds <= MAX_WAIT) await setTimeout(seconds * 1000)
  const response = seconds <= MAX_WAIT ? await context.send(request) : first
  requireRefused(context, response, expected, change)
  return response
}

/** @throws {Failed} the answer accepts the request, or is one of a failure */
export function requireRefused(context: CheckContext, response: WireResponse, expected: string, change: string): void {
  if (isAccepted(response)) context.fail({ expected, received: `${told(response)} It accepted the request.`, change })
  if (response.isTurnedAway)
    context.fail({
      expected,
      received: `${told(response)} It redirected in place of refusing.`,
      change: 'Answer 401 with a challenge: a client of an API cannot follow a redirect to a login page.',
      level: 'SHOULD'
    })
  if (response.status >= 500)
    context.fail({
      expected,
      received: `${told(response)} It failed instead of refusing.`,
      change:
        'Answer 401 to a token that cannot be used, whatever is in it: an error of the server tells an attacker where to dig.',
      // The quoted texts forbid to accept the token. RFC 6750 §3.1 says that the API SHOULD answer 401.
      level: 'SHOULD'
    })
}

/** @throws {Failed} the API refused the request */
export async function requireAcceptance(
  context: CheckContext,
  request: WireRequest,
  expected: string,
  change: string
): Promise<WireResponse> {
  const response = await context.send(request)
  if (!isAccepted(response)) context.fail({ expected, received: told(response), change })
  return response
}

/**
 * For checks that replace keys or break the authorization server: an earlier one may have left the API without the present keys.
 *
 * @throws {NotApplicable} the API does not accept a good token any more
 */
export async function requireGood(context: CheckContext, good: () => string): Promise<void> {
  if (!isAccepted(await context.send(withToken(good()))))
    context.skip('the API refuses good tokens since an earlier check, which failed')
}

/** Sends requests until an answer is right, or the seconds are over. @returns the last answer, and the seconds until then */
export async function sendUntil(
  context: CheckContext,
  request: () => WireRequest,
  isRight: (response: WireResponse) => boolean,
  seconds: number
): Promise<{ readonly response: WireResponse; readonly seconds: number; readonly isRight: boolean }> {
  const began = performance.now()
  for (;;) {
    const response = await context.send(request())
    const passed = (performance.now() - began) / 1000
    if (isRight(response)) return { response, seconds: passed, isRight: true }
    if (passed > seconds) return { response, seconds: passed, isRight: false }
    await setTimeout(LOOK_EVERY)
  }
}

/** The data of a check that sends one token with a flaw. */
export interface FlawedToken {
  readonly id: string
  /** One sentence: `A token of another issuer is refused.` */
  readonly title: string
  readonly profile: Profile
  readonly level?: Level
  readonly source?: Source
  readonly needs?: readonly Need[]
  readonly flaw: TokenFlaw | ((context: CheckContext) => TokenFlaw)
  /** Advice for an API that accepts the token. */
  readonly change: string
  readonly also?: readonly string[]
}

/** A check that the API refuses a token with one flaw. */
export function refuses(data: FlawedToken): Check {
  return sendsOne(data, (context, token) =>
    requireRefusal(context, withToken(token), 'The API refuses the token with 401.', data.change)
  )
}

/** A check that the API accepts an unusual but good token. */
export function accepts(data: FlawedToken): Check {
  return sendsOne(data, (context, token) =>
    requireAcceptance(context, withToken(token), 'The API accepts the token.', data.change)
  )
}

function sendsOne(
  { flaw, change: _change, needs = [], level, source, ...data }: FlawedToken,
  send: (context: CheckContext, token: string) => Promise<unknown>
): Check {
  return {
    ...data,
    ...(source && { source }),
    level: level ?? (source === undefined ? 'hardening' : 'MUST'),
    needs: ['issuer', ...needs],
    run: async (context) => {
      const given = typeof flaw === 'function' ? flaw(context) : flaw
      await requireAlgorithm(context, given.algorithm)
      await send(context, context.issuer.token(given))
    }
  }
}

/** @throws {NotApplicable} the API does not accept a good token of this algorithm, so nothing of it can be tested */
export async function requireAlgorithm(context: CheckContext, algorithm: TokenFlaw['algorithm']): Promise<void> {
  if (algorithm === undefined || algorithm === 'RS256') return
  const response = await context.send(withToken(context.issuer.token({ algorithm })))
  if (!isAccepted(response)) context.skip(`the API does not accept tokens signed by ${algorithm}`)
}

/** Claims whose values depend on the time: `seconds` from now. */
export function fromNow(context: CheckContext, seconds: number): number {
  return Math.floor(context.issuer.now()) + seconds
}

/** Seconds in which the API learns of new keys and recovers from an outage. */
export function recoverySeconds({ declared }: CheckContext): number {
  return declared.recoverySeconds ?? RECOVERY_SECONDS
}
