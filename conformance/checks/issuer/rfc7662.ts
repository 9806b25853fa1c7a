/**
 * Checks of opaque tokens (RFC 7662 §2.2): the API asks the authorization server, and reads the answer with care.
 *
 * Tests: `test/conformance/mutants.suite.ts`.
 */
import type { Check, CheckContext, WireRequest, WireResponse } from '../../check.js'
import { withCertificate } from '../../engine/presentation.js'
import * as source from '../sources.js'
import { fieldOf, fromNow, isAccepted, requireAcceptance, requireRefusal, told, withToken } from './judge.js'

type Answer = NonNullable<Parameters<CheckContext['issuer']['opaque']>[0]>

const changeActive = 'Accept a token only if the answer is a JSON object whose `active` is the boolean true.'
const changeMember = 'Check the members of the introspection answer as you check the claims of a JWT.'

function refusesAnswer(
  id: string,
  title: string,
  answer: (context: CheckContext) => Answer,
  change: string = changeMember,
  request: (token: string) => WireRequest = withToken
): Check {
  const isActive = change === changeActive
  return {
    id: `rfc7662-${id}`,
    title,
    profile: 'rfc7662',
    level: isActive ? 'MUST' : 'hardening',
    ...(isActive && { source: source.ACTIVE }),
    needs: ['introspection'],
    run: async (context) => {
      const token = context.issuer.opaque(answer(context))
      await requireRefusal(context, request(token), 'The API refuses the token with 401.', change)
    }
  }
}

/** As {@link refusesAnswer}, but an answer that breaks the protocol may also become an error of the server. */
function neverAccepts(id: string, title: string, answer: Answer): Check {
  return {
    id: `rfc7662-${id}`,
    title,
    profile: 'rfc7662',
    level: 'MUST',
    source: source.ACTIVE,
    needs: ['introspection'],
    run: async (context) => {
      const response = await context.send(withToken(context.issuer.opaque(answer)))
      if (isAccepted(response))
        context.fail({
          expected: 'The API does not accept the token.',
          received: `${told(response)} It accepted the request.`,
          change: changeActive
        })
    }
  }
}

/** Rules that an API may apply to JWTs, and forget for opaque tokens. */
const bindings: readonly Check[] = [
  {
    id: 'rfc7662-dpop-other-key',
    title: 'An active token that is bound to a DPoP key is refused with a good proof by another key.',
    profile: 'rfc7662',
    level: 'MUST',
    source: source.DPOP_ALL,
    needs: ['introspection', 'dpop'],
    run: async (context) => {
      const { issuer, url, declared } = context
      const method = declared.request?.method ?? 'GET'
      const own = issuer.dpopKey()
      const token = issuer.opaque({ token_type: 'DPoP', cnf: { jkt: own.jkt } })
      const send = (key: typeof own, nonce?: string): Promise<WireResponse> =>
        context.send({
          fields: [
            ['Authorization', `DPoP ${token}`],
            ['DPoP', key.proof({ method, url: url.href, token }, nonce === undefined ? {} : { claims: { nonce } })]
          ]
        })
      const first = await send(own)
      const nonce = fieldOf(first, 'dpop-nonce')
      if (!isAccepted(first) && (nonce === undefined || !isAccepted(await send(own, nonce))))
        context.skip('the API accepts no opaque tokens that are bound to a DPoP key')
      const response = await send(issuer.dpopKey(), nonce)
      if (isAccepted(response))
        context.fail({
          expected: 'The API refuses the token with 401.',
          received: `${told(response)} It accepted the request.`,
          change: 'Compare `cnf.jkt` of the introspection answer with the key of the proof, as for a JWT.'
        })
    }
  },
  {
    id: 'rfc7662-scope-missing',
    title: 'An active token without scopes gets 403 on a route that needs one.',
    profile: 'rfc7662',
    level: 'SHOULD',
    source: source.INSUFFICIENT_SCOPE,
    needs: ['introspection', 'scopes'],
    run: async (context) => {
      const change = 'Compare the scopes of the introspection answer with those of the route, as for a JWT.'
      for (const { target } of context.declared.scopedRoutes ?? []) {
        const token = context.issuer.opaque({ scope: undefined })
        await requireRefusal(context, withToken(token, target), 'The API answers 403.', change)
      }
    }
  },
  {
    id: 'rfc7662-certificate-other',
    title: 'An active token that is bound to a certificate is refused with another certificate, and without one.',
    profile: 'rfc7662',
    level: 'MUST',
    source: source.CERTIFICATE,
    needs: ['introspection', 'mtls'],
    run: async (context) => {
      const { issuer, declared } = context
      const token = issuer.opaque({ cnf: { 'x5t#S256': issuer.thumbprintOf(issuer.certificate()) } })
      const request: WireRequest = { fields: [['Authorization', `Bearer ${token}`]] }
      const change = 'Compare `cnf.x5t#S256` of the introspection answer with the certificate, as for a JWT.'
      for (const certificate of [issuer.certificate(), undefined])
        await requireRefusal(
          context,
          withCertificate(request, certificate, declared),
          'The API refuses the token with 401.',
          change
        )
    }
  }
]

/** RFC 7662. */
export const rfc7662: readonly Check[] = [
  {
    id: 'rfc7662-active',
    title: 'An opaque token that the authorization server calls active is accepted.',
    profile: 'rfc7662',
    level: 'MUST',
    source: source.ACTIVE,
    needs: ['introspection'],
    run: async (context) => {
      const change = 'Ask the introspection endpoint about tokens that are not JWTs.'
      await requireAcceptance(context, withToken(context.issuer.opaque()), 'The API accepts the token.', change)
    }
  },
  refusesAnswer('inactive', 'A token that is not active is refused.', () => () => '{"active":false}', changeActive),
  refusesAnswer(
    'inactive-members',
    'A token that is not active is refused, whatever else the answer says.',
    () => ({ active: false }),
    changeActive
  ),
  {
    id: 'rfc7662-unknown',
    title: 'A token that the authorization server does not know is refused.',
    profile: 'rfc7662',
    level: 'MUST',
    source: source.ACTIVE,
    needs: ['introspection'],
    run: async (context) => {
      const request = withToken('an-opaque-token-that-nobody-issued')
      await requireRefusal(context, request, 'The API refuses the token with 401.', changeActive)
    }
  },
  neverAccepts('active-missing', 'An answer without `active` accepts nothing.', { active: undefined }),
  neverAccepts('active-text', 'An answer whose `active` is the text "true" accepts nothing.', { active: 'true' }),
  neverAccepts('active-number', 'An answer whose `active` is 1 accepts nothing.', { active: 1 }),
  neverAccepts('array', 'An answer that is a list accepts nothing.', (json) => `[${json}]`),
  neverAccepts('not-json', 'An answer that is not JSON accepts nothing.', (json) =>
    new URLSearchParams(JSON.parse(json) as Record<string, string>).toString()
  ),
  neverAccepts(
    'active-twice',
    'Of an `active` that stands twice, the last one counts.',
    (json) => `${json.slice(0, -1)},"active":false}`
  ),
  refusesAnswer('aud-other', 'An active token for another API is refused.', () => ({
    aud: 'https://another-api.example'
  })),
  refusesAnswer('aud-prefix', 'An audience that begins with the identifier of the API is refused.', ({ issuer }) => ({
    aud: `${issuer.audience}.attacker.example`
  })),
  refusesAnswer('aud-case', 'An audience in another case is refused.', ({ issuer }) => ({
    aud: issuer.audience.toUpperCase()
  })),
  refusesAnswer('aud-array-other', 'A list of other audiences is refused.', () => ({
    aud: ['https://another-api.example']
  })),
  refusesAnswer('exp-past', 'An active token that ended an hour ago is refused.', (context) => ({
    exp: fromNow(context, -3600)
  })),
  refusesAnswer('nbf-future', 'An active token that is valid in an hour is refused.', (context) => ({
    nbf: fromNow(context, 3600),
    exp: fromNow(context, 7200)
  })),
  refusesAnswer('iss-other', 'An active token of another issuer is refused.', () => ({
    iss: 'https://another-issuer.example'
  })),
  refusesAnswer('token-type', 'An active token that is not an access token is refused.', () => ({
    token_type: 'urn:ietf:params:oauth:token-type:id_token'
  })),
  refusesAnswer(
    'dpop-as-bearer',
    'An active token that is bound to a DPoP key is refused as a bearer token.',
    ({ issuer }) => ({
      token_type: 'DPoP',
      cnf: { jkt: issuer.dpopKey().jkt }
    }),
    changeMember,
    (token) => ({ fields: [['Authorization', `Bearer ${token}`]] })
  ),
  ...bindings
]
