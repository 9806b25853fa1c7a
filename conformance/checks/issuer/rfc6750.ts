/**
 * Checks of the places and forms in which an API takes a good token (RFC 6750 §2): one that no scheme, a second line or the query may
 * carry. From outside, only an API that names its error shows that it has read a token there.
 *
 * Tests: `test/conformance/mutants.suite.ts`.
 */
import { valuesOf } from '../../challenge.js'
import type { Check, CheckContext, Level, Need, Source, WireRequest } from '../../check.js'
import { UNKNOWN } from '../outside/judge.js'
import * as source from '../sources.js'
import { isAccepted, requireAcceptance, requireRefusal, requireRefused, withToken } from './judge.js'

type Line = readonly [name: string, value: string]

const bearer = (value: string): Line => ['Authorization', `Bearer ${value}`]

/** A good token, of an API that takes tokens that are not bound to a key. */
async function bearerToken(context: CheckContext): Promise<string> {
  const token = context.issuer.token()
  if (!isAccepted(await context.send({ fields: [bearer(token)] })))
    context.skip('the API accepts no Bearer token without a client certificate')
  return token
}

interface Place {
  readonly id: string
  readonly title: string
  readonly change: string
  readonly source?: Source
  readonly level?: Level
  readonly needs?: readonly Need[]
  readonly requests: (token: string, context: CheckContext) => readonly WireRequest[]
}

function notTaken({ id, title, change, source, level = 'hardening', needs = [], requests }: Place): Check {
  return {
    id: `rfc6750-good-${id}`,
    title,
    profile: level === 'hardening' ? 'hardening' : 'rfc6750',
    level,
    ...(source && { source }),
    needs: ['issuer', 'bearer', ...needs],
    run: async (context) => {
      const token = await bearerToken(context)
      for (const request of requests(token, context)) {
        const response = await context.send(request)
        if (isAccepted(response) && isAccepted(await context.send()))
          context.skip('the API accepts requests without a token after a good one, which another check says')
        requireRefused(context, response, 'The API refuses the request with 400 or 401.', change)
      }
    }
  }
}

const changePlace = 'Take tokens from the Authorization field only, and turn off other ways of the framework.'
const changeForm =
  'Take credentials only if the whole field is the scheme Bearer, spaces and one token: /^Bearer +[A-Za-z0-9._~+/-]+=*$/i.'
const FORM: Line = ['Content-Type', 'application/x-www-form-urlencoded']

const places: readonly Check[] = [
  notTaken({
    id: 'query-token',
    title: 'A good token in the query is not taken.',
    level: 'SHOULD',
    source: source.QUERY_TOKEN,
    change: changePlace,
    requests: (token, { url: { pathname, search } }) =>
      ['access_token', 'token'].map((name) => ({
        target: `${pathname}${search === '' ? '?' : `${search}&`}${name}=${token}`
      }))
  }),
  notTaken({
    id: 'cookie-token',
    title: 'A good token in a cookie is not taken.',
    change: changePlace,
    requests: (token) => [
      { fields: [['Cookie', `access_token=${token}; token=${token}; jwt=${token}; Authorization=Bearer ${token}`]] }
    ]
  }),
  notTaken({
    id: 'body-of-get',
    title: 'A good token in the body of a GET request is not taken.',
    level: 'SHOULD',
    source: source.BODY_OF_GET,
    change: changePlace,
    requests: (token) => [{ fields: [FORM], body: `access_token=${token}` }]
  }),
  notTaken({
    id: 'body-token',
    title: 'A good token in a form body is not taken.',
    level: 'SHOULD',
    source: source.BODY_TOKEN,
    needs: ['methods'],
    change: changePlace,
    requests: (token) => [{ method: 'POST', fields: [FORM], body: `access_token=${token}` }]
  }),
  notTaken({
    id: 'other-fields',
    title: 'A good token in another field than Authorization is not taken.',
    change: changePlace,
    requests: (token) => [
      {
        fields: [
          ['X-Access-Token', token],
          ['X-Auth-Token', token],
          ['X-Authorization', `Bearer ${token}`],
          ['X-Forwarded-Access-Token', token],
          ['X-Forwarded-Authorization', `Bearer ${token}`],
          ['Proxy-Authorization', `Bearer ${token}`],
          ['Sec-WebSocket-Protocol', `bearer, ${token}`]
        ]
      }
    ]
  })
]

const forms: readonly Check[] = [
  notTaken({
    id: 'first-of-two',
    title: 'A field with a good token and another word is refused.',
    level: 'SHOULD',
    source: source.INVALID_REQUEST,
    change: changeForm,
    requests: (token) => [`${token} x`, `x ${token}`].map((value) => ({ fields: [bearer(value)] }))
  }),
  notTaken({
    id: 'comma-list',
    title: 'A list of a good token and other credentials in one field is refused.',
    level: 'SHOULD',
    source: source.INVALID_REQUEST,
    change: changeForm,
    requests: (token) =>
      [`Bearer ${token}, Basic eDp5`, `Bearer ${token},Bearer x`, `Basic eDp5, Bearer ${token}`].map((value) => ({
        fields: [['Authorization', value]]
      }))
  }),
  notTaken({
    id: 'two-lines',
    title: 'A good token is refused beside a second Authorization line, whichever comes first.',
    change:
      'Count the Authorization lines of the request, and refuse a second one with 400: a proxy may read the other.',
    requests: (token) => [{ fields: [bearer(token), bearer('x')] }, { fields: [bearer('x'), bearer(token)] }]
  }),
  notTaken({
    id: 'other-scheme',
    title: 'A good token of another scheme than Bearer is refused.',
    change: changeForm,
    requests: (token) =>
      ['Basic', 'Token', 'JWT', 'XBearer', 'BearerX'].map((scheme) => ({
        fields: [['Authorization', `${scheme} ${token}`]]
      }))
  }),
  notTaken({
    id: 'no-scheme',
    title: 'A good token without a scheme is refused.',
    change: changeForm,
    requests: (token) =>
      [token, `Bearer${token}`, `Bearer:${token}`].map((value) => ({ fields: [['Authorization', value]] }))
  }),
  {
    id: 'rfc6750-good-scheme-case',
    title: 'A good token is accepted with the scheme `bearer` in lower case, and in capitals.',
    profile: 'rfc6750',
    level: 'hardening',
    source: source.SCHEME_CASE,
    needs: ['issuer', 'bearer'],
    run: async (context) => {
      const token = await bearerToken(context)
      const change = 'Compare the name of the scheme without regard to case.'
      for (const scheme of ['bearer', 'BEARER']) {
        const request: WireRequest = { fields: [['Authorization', `${scheme} ${token}`]] }
        await requireAcceptance(context, request, 'The API accepts the token.', change)
      }
    }
  }
]

/** A cache by URL, or a connection that remembers its user. */
const afterwards: Check = {
  id: 'rfc6750-good-then-none',
  title: 'After a good token, a request without a token is refused as before.',
  profile: 'rfc6750',
  level: 'MUST',
  source: source.NO_TOKEN,
  needs: ['issuer'],
  run: async (context) => {
    const expected = 'The API refuses the request with 401.'
    const change =
      'Decide for each request by its own token: no cache in front of the guard, and no user that belongs to a connection.'
    await requireAcceptance(context, withToken(context.issuer.token()), 'The API accepts the good token.', change)
    await requireRefusal(context, {}, expected, change)
    await requireRefusal(context, withToken(UNKNOWN), expected, change)
  }
}

const PUBLIC = /\bpublic\b|\bs-maxage\s*=\s*"?[1-9]/i

const answers: readonly Check[] = [
  {
    id: 'hardening-good-not-public',
    title: 'The answer to a good token may not be kept for others by shared caches.',
    profile: 'hardening',
    level: 'hardening',
    source: source.SHARED_CACHE,
    needs: ['issuer'],
    run: async (context) => {
      const response = await context.send(withToken(context.issuer.token()))
      const control = valuesOf(response, 'cache-control').join(', ')
      if (isAccepted(response) && PUBLIC.test(control))
        context.fail({
          expected: 'Cache-Control has neither public nor s-maxage where the answer needs a token.',
          received: `Cache-Control: ${control.slice(0, 120)}.`,
          change:
            'Send Cache-Control: private, or no-store: a shared cache gives a public answer to clients without a token.'
        })
    }
  },
  {
    id: 'hardening-good-no-echo',
    title: 'The answer to a good token does not repeat the token.',
    profile: 'hardening',
    level: 'hardening',
    needs: ['issuer'],
    run: async (context) => {
      const token = context.issuer.token()
      const response = await context.send(withToken(token))
      const signature = token.slice(token.lastIndexOf('.') + 1)
      if ([...response.fields.map(([, value]) => value), response.body].some((text) => text.includes(signature)))
        context.fail({
          expected: 'The answer repeats nothing of the token.',
          received: `The token is in the answer with status ${response.status}.`,
          change: 'Remove the request fields from the answer: answers are logged, cached and shown.'
        })
    }
  }
]

/** RFC 6750 §2 and RFC 9111 §3.5. */
export const rfc6750: readonly Check[] = [...places, ...forms, afterwards, ...answers]
