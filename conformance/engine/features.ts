/**
 * Finds out with good tokens how the API takes tokens, and which kinds it accepts, so that the checks of the others are not
 * applicable.
 *
 * Tests: `test/conformance/bound.test.ts`, `test/conformance/oracle.suite.ts`.
 */
import { challengeOf } from '../challenge.js'
import type { Binding, Declared, Need, SuiteIssuer, WireRequest, WireResponse } from '../check.js'
import { HIDDEN } from './detect.js'
import { boundIssuer, createPresentation, type Presentation, sendPresented } from './presentation.js'
import { RunProblem } from './select.js'

type Send = (request: WireRequest) => Promise<WireResponse>

export interface Survey {
  readonly url: URL
  readonly declared: Declared
  /** Features that the user declares. */
  readonly has: ReadonlySet<Need>
  readonly send: Send
}

interface Found {
  readonly presentation: Presentation
  readonly binding: Binding | undefined
  readonly needs: readonly Need[]
}

/** From outside: an API that asks for DPoP, and not for Bearer, takes no Bearer tokens (RFC 9449 §7.1). */
export function findScheme({ url, declared }: Survey, first: WireResponse): Found {
  const asksForDpop = challengeOf(first, 'DPoP') !== undefined && challengeOf(first) === undefined
  const binding = declared.binding ?? (asksForDpop ? 'dpop' : undefined)
  return { presentation: createPresentation(url, declared, binding), binding, needs: [] }
}

interface Attempt extends Omit<Found, 'needs'> {
  /** Status of the answer to a good JWT. */
  readonly jwt: number
  /** Status of the answer to a good opaque token. */
  readonly opaque: number
}

/**
 * Sends good tokens: first not bound, then bound to a DPoP key, then to a certificate if the user declares that the API takes them.
 *
 * Does NOT find out about certificates, scopes and revocation: the user declares these.
 *
 * @throws {RunProblem} the API accepts none of them
 */
export async function findFeatures(survey: Survey, issuer: SuiteIssuer, first: WireResponse): Promise<Found> {
  const attempts: Attempt[] = []
  for (const binding of bindingsOf(survey)) {
    const attempt = await tryTokens(survey, issuer, binding)
    attempts.push(attempt)
    if (Math.min(attempt.jwt, attempt.opaque) < 400) return foundBy(survey, issuer, attempt)
  }
  // A status such as 405 is neither success nor a refusal of the token.
  const isHidden = HIDDEN.includes(first.status)
  const odd = attempts.find(({ jwt }) => !isRefusal(jwt) && !(isHidden && HIDDEN.includes(jwt)))
  if (odd !== undefined) return foundBy(survey, issuer, odd)
  if (isHidden)
    throw new RunProblem(
      `${survey.url.href} answers ${first.status} without a token, and ${attempts[0]?.jwt} to a good token of the suite. Give the URL of a route that exists, and let the API trust the issuer ${issuer.url} for the audience ${issuer.audience}.`
    )
  throw new RunProblem(
    `The API refuses a good token of the suite (${attempts[0]?.jwt}). Configure it to trust the issuer ${issuer.url} for the audience ${issuer.audience}, and run again.`
  )
}

function bindingsOf({ declared, has }: Survey): readonly (Binding | undefined)[] {
  if (declared.binding !== undefined) return [declared.binding]
  return [undefined, 'dpop', ...(has.has('mtls') ? (['certificate'] as const) : [])]
}

async function tryTokens(survey: Survey, issuer: SuiteIssuer, binding: Binding | undefined): Promise<Attempt> {
  const presentation = createPresentation(survey.url, survey.declared, binding)
  const bound = boundIssuer(issuer, presentation)
  const statusOf = async (token: string): Promise<number> =>
    statusOfAnswer(await sendPresented(presentation, { token }, survey.send))
  return { presentation, binding, jwt: await statusOf(bound.token()), opaque: await statusOf(bound.opaque()) }
}

/** A redirect to a login page is a refusal. */
function statusOfAnswer({ status, isTurnedAway }: WireResponse): number {
  return isTurnedAway ? 401 : status
}

function isRefusal(status: number): boolean {
  return status === 401 || status === 403
}

async function foundBy(survey: Survey, issuer: SuiteIssuer, attempt: Attempt): Promise<Found> {
  const { presentation, binding, jwt, opaque } = attempt
  const { second } = boundIssuer(issuer, presentation)
  const needs: Need[] = []
  // An API that introspects every token accepts no JWT that the authorization server does not know.
  if (!isRefusal(jwt)) needs.push('issuer')
  if (opaque < 400) needs.push('introspection')
  if (second !== undefined) {
    const answer = await sendPresented(presentation, { token: second.token() }, survey.send)
    if (statusOfAnswer(answer) < 400) needs.push('second-issuer')
  }
  if (binding === 'certificate') needs.push('mtls')
  const takesDpop = binding === 'dpop' || (await tryTokens(survey, issuer, 'dpop')).jwt < 400
  if (takesDpop) needs.push('dpop')
  return { presentation, binding, needs }
}
