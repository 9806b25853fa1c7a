/**
 * Checks of what a good token may do: scopes of routes (RFC 6750 §3.1), step-up (RFC 9470) and the tokens of two issuers.
 *
 * Tests: `test/conformance/mutants.suite.ts`.
 */
import { challengesOf, parameterOf } from '../../challenge.js'
import type { Check, CheckContext, WireResponse } from '../../check.js'
import { hiddenLevel } from '../outside/judge.js'
import * as source from '../sources.js'
import { fieldOf, fromNow, isAccepted, refuses, requireAcceptance, requireRefusal, told, withToken } from './judge.js'

const changeScope = 'Compare the scopes of the token with those of the route as whole words, and answer 403.'
const expectedScope = 'The API answers 403 with `WWW-Authenticate: Bearer error="insufficient_scope"`.'

/** Runs for each route that the user named. @throws {NotApplicable} none is named */
async function eachRoute(
  context: CheckContext,
  look: (target: string, scope: string) => Promise<unknown>
): Promise<void> {
  const { scopedRoutes = [] } = context.declared
  if (scopedRoutes.length === 0) context.skip('no route with a scope is named')
  for (const { target, scope } of scopedRoutes) await look(target, scope)
}

/** Scopes that a lenient comparison takes for the one that a route needs. */
const WRONG_SCOPES: readonly (readonly [id: string, title: string, scope: (needed: string) => unknown])[] = [
  ['missing', 'A token without scopes gets 403 on a route that needs one.', () => undefined],
  ['other', 'A token with another scope gets 403.', () => 'another-scope'],
  ['longer', 'A scope that begins with the needed one is another scope.', (scope) => `${scope}-more`],
  ['shorter', 'A scope that the needed one begins with is another scope.', (scope) => scope.slice(0, -1)],
  ['case', 'A scope in another case is another scope.', (scope) => scope.toUpperCase()],
  ['inside', 'A scope that contains the needed one is another scope.', (scope) => `x${scope}`],
  ['number', 'A scope claim that is a number grants nothing.', () => 5]
]

const scopes: readonly Check[] = [
  ...WRONG_SCOPES.map(
    ([id, title, scopeOf]): Check => ({
      id: `scope-${id}`,
      title,
      profile: 'rfc6750',
      level: 'SHOULD',
      source: source.INSUFFICIENT_SCOPE,
      needs: ['issuer', 'scopes'],
      run: (context) =>
        eachRoute(context, async (target, scope) => {
          const token = context.issuer.token({ claims: { scope: scopeOf(scope) } })
          await requireRefusal(context, withToken(token, target), expectedScope, changeScope)
        })
    })
  ),
  {
    id: 'scope-enough',
    title: 'A token with the needed scope among others is accepted.',
    profile: 'rfc6750',
    level: 'SHOULD',
    source: source.INSUFFICIENT_SCOPE,
    needs: ['issuer', 'scopes'],
    run: (context) =>
      eachRoute(context, async (target, scope) => {
        const token = context.issuer.token({ claims: { scope: `openid ${scope} profile` } })
        await requireAcceptance(context, withToken(token, target), 'The API accepts the token.', changeScope)
      })
  },
  {
    id: 'scope-challenge',
    title: 'The answer to a token without the needed scope is 403 and names the error `insufficient_scope`.',
    profile: 'rfc6750',
    level: 'SHOULD',
    source: source.INSUFFICIENT_SCOPE,
    needs: ['issuer', 'scopes'],
    run: (context) =>
      eachRoute(context, async (target) => {
        const token = context.issuer.token({ claims: { scope: undefined } })
        const response = await requireRefusal(context, withToken(token, target), expectedScope, changeScope)
        if (
          response.status !== 403 ||
          !/\berror="?insufficient_scope\b/.test(fieldOf(response, 'www-authenticate') ?? '')
        )
          context.fail({
            expected: expectedScope,
            received: told(response),
            change: changeScope,
            ...hiddenLevel(response)
          })
      })
  }
]

const changeStepUp =
  'Compare `acr` and `auth_time` of the token with what the route needs, and say so in the challenge.'

function stepUp(context: CheckContext): NonNullable<CheckContext['declared']['stepUp']> {
  const { stepUp: route } = context.declared
  return route ?? context.skip('no route with step-up is named')
}

/** A check of a token that the step-up route refuses. @param claims  undefined: not applicable to this route */
function stepUpRefusal(
  id: string,
  title: string,
  claims: (route: ReturnType<typeof stepUp>, context: CheckContext) => Readonly<Record<string, unknown>> | undefined
): Check {
  return {
    id: `rfc9470-${id}`,
    title,
    profile: 'fapi2',
    level: 'SHOULD',
    source: source.STEP_UP,
    needs: ['issuer'],
    run: async (context) => {
      const route = stepUp(context)
      const authentication = claims(route, context) ?? context.skip('the route does not need this')
      const token = context.issuer.token({ claims: authentication })
      const expected = 'The API answers 401 with `error="insufficient_user_authentication"`.'
      const response = await requireRefusal(context, withToken(token, route.target), expected, changeStepUp)
      requireStepUpChallenge(context, response, expected)
    }
  }
}

function requireStepUpChallenge(context: CheckContext, response: WireResponse, expected: string): void {
  const challenge = fieldOf(response, 'www-authenticate') ?? ''
  if (response.status !== 401 || !challenge.includes('insufficient_user_authentication'))
    context.fail({ expected, received: told(response), change: changeStepUp })
}

const steps: readonly Check[] = [
  stepUpRefusal('missing', 'A token that tells nothing about the authentication is refused.', () => ({})),
  stepUpRefusal('acr-other', 'A token with another `acr` is refused.', ({ acr }, context) =>
    acr === undefined ? undefined : { acr: 'another-acr', auth_time: fromNow(context, -1) }
  ),
  stepUpRefusal('acr-longer', 'An `acr` that begins with the needed one is another one.', ({ acr }, context) =>
    acr === undefined ? undefined : { acr: `${acr}-more`, auth_time: fromNow(context, -1) }
  ),
  stepUpRefusal('max-age', 'An authentication that is too long ago is refused.', ({ acr, maxAge }, context) =>
    maxAge === undefined ? undefined : { acr, auth_time: fromNow(context, -maxAge - 600) }
  ),
  {
    id: 'rfc9470-challenge',
    title: 'The challenge of a route with step-up says which authentication it needs.',
    profile: 'fapi2',
    level: 'hardening',
    source: source.STEP_UP,
    needs: ['issuer'],
    run: async (context) => {
      const { target, acr, maxAge } = stepUp(context)
      const response = await context.send(withToken(context.issuer.token(), target))
      const { challenges } = challengesOf(response)
      const values = challenges.flatMap((one) => parameterOf(one, 'acr_values')?.split(' ') ?? [])
      const age = challenges.map((one) => parameterOf(one, 'max_age')).find(Boolean)
      const isNamed = (acr === undefined || values.includes(acr)) && (maxAge === undefined || age === String(maxAge))
      if (isNamed) return
      const words = [acr === undefined ? '' : `acr_values="${acr}"`, maxAge === undefined ? '' : `max_age="${maxAge}"`]
      context.fail({
        expected: `${words.filter(Boolean).join(' and ')} in the challenge.`,
        received: told(response),
        change:
          'Name them in the challenge: without them a client cannot ask the authorization server for a better token.'
      })
    }
  },
  {
    id: 'rfc9470-enough',
    title: 'A token with the needed authentication is accepted.',
    profile: 'fapi2',
    level: 'SHOULD',
    source: source.STEP_UP,
    needs: ['issuer'],
    run: async (context) => {
      const { target, acr } = stepUp(context)
      const token = context.issuer.token({ claims: { acr, auth_time: fromNow(context, -1) } })
      await requireAcceptance(context, withToken(token, target), 'The API accepts the token.', changeStepUp)
    }
  }
]

const changeIssuer = 'Take the keys of the issuer that `iss` names, and no others.'

const issuers: readonly Check[] = [
  refuses({
    id: 'issuers-key-of-another',
    title: 'A token of one issuer that the key of another one signed is refused.',
    profile: 'rfc9068',
    source: source.SIGNATURE,
    needs: ['second-issuer'],
    flaw: ({ issuer }) => {
      const second = issuer.second?.token({ claims: { iss: issuer.url } })
      return { text: () => second as string }
    },
    change: changeIssuer
  }),
  refuses({
    id: 'issuers-name-of-another',
    title: 'A token that names the second issuer and was signed by the first is refused.',
    profile: 'rfc9068',
    source: source.SIGNATURE,
    needs: ['second-issuer'],
    flaw: ({ issuer }) => ({ claims: { iss: issuer.second?.url } }),
    change: changeIssuer
  }),
  {
    id: 'issuers-after',
    title: 'Tokens of both issuers are accepted, one after the other.',
    profile: 'rfc9068',
    level: 'MUST',
    source: source.ISSUER,
    needs: ['issuer', 'second-issuer'],
    run: async (context) => {
      const { issuer } = context
      for (const one of [issuer, issuer.second ?? issuer, issuer]) {
        const response = await context.send(withToken(one.token()))
        if (!isAccepted(response))
          context.fail({ expected: 'The API accepts the token.', received: told(response), change: changeIssuer })
      }
    }
  }
]

/** RFC 6750 §3.1, RFC 9470, and two issuers. */
export const access: readonly Check[] = [...scopes, ...steps, ...issuers]
