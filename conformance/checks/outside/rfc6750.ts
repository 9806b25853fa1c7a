/**
 * RFC 6750 from outside: refusals and challenges of bearer tokens, and the places in which a token is not taken.
 *
 * Tests: `test/conformance/checks.test.ts`.
 */
import { challengeOf, challengesOf, parameterOf } from '../../challenge.js'
import type { Check, CheckContext, WireRequest } from '../../check.js'
import { FAPI2_HAPPY_FLOW } from '../names.js'
import { authorized, hiddenLevel, part, refusalOfUnknown, refusalsOf, refuses, rfc, told, UNKNOWN } from './judge.js'

const NO_ERROR = rfc(
  6750,
  '3.1',
  'If the request lacks any authentication information (e.g., the client was unaware that authentication is necessary or attempted using an unsupported authentication method), the resource server SHOULD NOT include an error code or other error information.'
)
const INVALID_REQUEST = rfc(
  6750,
  '3.1',
  'The request is missing a required parameter, [...] repeats the same parameter, uses more than one method for including an access token, or is otherwise malformed. The resource server SHOULD respond with the HTTP 400 (Bad Request) status code.'
)
const INVALID_TOKEN = rfc(
  6750,
  '3.1',
  'The access token provided is expired, revoked, malformed, or invalid for other reasons. The resource SHOULD respond with the HTTP 401 (Unauthorized) status code.'
)
const VALUES = 'Values for the "error" and "error_description" attributes'

/** The characters that RFC 6750 §3 allows in each attribute. */
const CHARACTERS: Readonly<Record<string, RegExp>> = {
  error: /^[\x20\x21\x23-\x5B\x5D-\x7E]*$/,
  error_description: /^[\x20\x21\x23-\x5B\x5D-\x7E]*$/,
  error_uri: /^[\x21\x23-\x5B\x5D-\x7E]*$/,
  scope: /^[\x21\x23-\x5B\x5D-\x7E]+(?: [\x21\x23-\x5B\x5D-\x7E]+)*$/
}

/** Fails if the API took the token from this place: then it says that the token is invalid, or lets the request through. */
async function ignores({ send, fail, probe }: CheckContext, request: WireRequest, place: string): Promise<void> {
  const response = await send(request)
  const error = parameterOf(challengeOf(response), 'error')
  const isRead = error === 'invalid_token' && parameterOf(challengeOf(probe), 'error') !== error
  // Some APIs refuse such a request as malformed, which takes no token either.
  if (response.status >= 400 && response.status < 500 && !isRead) return
  fail({
    expected: `A token in ${place} changes nothing: ${told(probe)}.`,
    received: `With a token there, the API answers ${told(response)}.`,
    change: `Take tokens from the Authorization field only. Turn off the reading of ${place}.`
  })
}

const challenges: readonly Check[] = [
  {
    id: 'rfc6750-no-token',
    title: 'A request without a token is refused with a challenge.',
    profile: 'rfc6750',
    level: 'MUST',
    source: rfc(
      6750,
      '3',
      'If the protected resource request does not include authentication credentials or does not contain an access token that enables access to the protected resource, the resource server MUST include the HTTP "WWW-Authenticate" response header field'
    ),
    async run({ send, fail, scheme }) {
      const response = await send()
      if (response.status === 401 && response.fields.some(([name]) => name === 'www-authenticate')) return
      fail({
        expected: 'Status 401 with a WWW-Authenticate field.',
        received: `The API answers ${told(response)}.`,
        change:
          response.status < 400
            ? 'Protect this route, or give the suite the URL of a route that needs a token. Do not redirect API clients to a login page.'
            : `Answer 401 with WWW-Authenticate: ${scheme} and at least one parameter, such as realm.`,
        ...hiddenLevel(response)
      })
    }
  },
  {
    id: 'rfc6750-challenge-bearer',
    title: 'The challenge has the scheme Bearer and at least one parameter.',
    profile: 'rfc6750',
    level: 'MUST',
    needs: ['bearer'],
    source: rfc(
      6750,
      '3',
      'All challenges defined by this specification MUST use the auth-scheme value "Bearer". This scheme MUST be followed by one or more auth-param values.'
    ),
    async run({ probe, fail, skip }) {
      if (probe.status !== 401) skip('the API does not answer 401 without a token')
      const bearer = challengeOf(probe)
      if (bearer === undefined && challengeOf(probe, 'DPoP') !== undefined) skip('the API asks for DPoP only')
      if (bearer?.parameters.some(({ name }) => name !== '')) return
      fail({
        expected: 'WWW-Authenticate: Bearer, followed by at least one parameter.',
        received: `The API answers ${told(probe)}.`,
        change: 'Add realm="…", scope="…" or resource_metadata="…" after Bearer.'
      })
    }
  },
  {
    id: 'rfc6750-no-error-without-token',
    title: 'A request without a token is told no error code.',
    profile: 'rfc6750',
    level: 'SHOULD',
    source: NO_ERROR,
    async run({ probe, fail }) {
      const error = challengesOf(probe)
        .challenges.map((one) => parameterOf(one, 'error'))
        .find(Boolean)
      if (error === undefined) return
      fail({
        expected: 'A challenge without error, error_description and error_uri.',
        received: `error="${error}" in the answer to a request without a token.`,
        change: 'Leave the error parameters out where the request has no Authorization field.'
      })
    }
  },
  {
    id: 'rfc6750-no-error-for-other-scheme',
    title: 'A request with credentials of another scheme is told no error code.',
    profile: 'rfc6750',
    level: 'SHOULD',
    source: NO_ERROR,
    async run(context) {
      const response = await context.send(authorized('Basic Y29uZm9ybWFuY2U6c3VpdGU='))
      refuses(context, response, 'A request with Basic credentials')
      const error = parameterOf(challengeOf(response, context.scheme), 'error')
      if (error === undefined) return
      context.fail({
        expected: `A ${context.scheme} challenge without an error code.`,
        received: `error="${error}".`,
        change: 'Treat an unsupported scheme like a request without credentials.'
      })
    }
  },
  {
    id: 'rfc6750-challenge-characters',
    title: 'The attributes of the challenge have only the characters that are allowed.',
    profile: 'rfc6750',
    level: 'MUST',
    needs: ['bearer'],
    source: rfc(6750, '3', `${VALUES} MUST NOT include characters outside the set %x20-21 / %x23-5B / %x5D-7E.`),
    async run(context) {
      for (const response of await refusalsOf(context))
        for (const { name, value } of challengeOf(response)?.parameters ?? []) {
          if (CHARACTERS[name.toLowerCase()]?.test(value) ?? true) continue
          context.fail({
            expected: `${name} has only the characters of RFC 6750 §3, and is not empty if it is scope.`,
            received: `${name}=${JSON.stringify(value.slice(0, 120))}.`,
            change: 'Send a fixed text, and no quotation mark, backslash, control character or letter outside ASCII.'
          })
        }
    }
  },
  {
    id: 'rfc6750-attributes-once',
    title: 'No attribute of the challenge appears twice.',
    profile: 'rfc6750',
    level: 'MUST',
    needs: ['bearer'],
    source: rfc(6750, '3', 'The "realm" attribute MUST NOT appear more than once.'),
    async run(context) {
      for (const response of await refusalsOf(context)) {
        const names = challengeOf(response)?.parameters.map(({ name }) => name.toLowerCase()) ?? []
        const twice = names.find((name, index) => names.indexOf(name) !== index)
        if (twice !== undefined)
          context.fail({
            expected: 'Each attribute appears once in the Bearer challenge.',
            received: `${twice} appears twice: ${told(response)}.`,
            change: `Send ${twice} once.`
          })
      }
    }
  },
  {
    id: 'rfc6750-error-code',
    title: 'A refused token is answered with an error code.',
    profile: 'rfc6750',
    level: 'SHOULD',
    needs: ['bearer'],
    source: rfc(
      6750,
      '3',
      'If the protected resource request included an access token and failed authentication, the resource server SHOULD include the "error" attribute to provide the client with the reason why the access request was declined.'
    ),
    async run(context) {
      const response = await refusalOfUnknown(context)
      if (challengeOf(response) === undefined && challengeOf(response, 'DPoP') !== undefined)
        context.skip('the API asks for DPoP only')
      const error = parameterOf(challengeOf(response), 'error')
      if (error === 'invalid_token') return
      context.fail({
        expected: 'error="invalid_token" in the Bearer challenge.',
        received: `The API answers ${told(response)}.`,
        change:
          'Add error="invalid_token" where a token was sent: clients get a new token then, and do not ask the user.',
        ...hiddenLevel(response)
      })
    }
  }
]

/** Tokens that no server issued. None of them has a signature that a key of the API could verify. */
const GARBAGE: readonly (readonly [id: string, what: string, token: string])[] = [
  ['unknown-token', 'An unknown opaque token', UNKNOWN],
  ['null-token', 'The token null', 'null'],
  ['undefined-token', 'The token undefined', 'undefined'],
  [
    'unsigned-jwt',
    'A JWT with alg none',
    `${part({ alg: 'none', typ: 'at+jwt' })}.${part({ iss: 'https://conformance.invalid', sub: 'suite', aud: '*', exp: 4102444800 })}.`
  ],
  [
    'unsigned-jwt-case',
    'A JWT with alg NoNe',
    `${part({ alg: 'NoNe', typ: 'at+jwt' })}.${part({ iss: 'https://conformance.invalid', sub: 'suite', aud: '*', exp: 4102444800 })}.`
  ],
  [
    'jwt-without-signature',
    'A JWT with an empty signature',
    `${part({ alg: 'RS256', typ: 'at+jwt', kid: '1' })}.${part({ iss: 'https://conformance.invalid', sub: 'suite', exp: 4102444800 })}.`
  ],
  [
    'unknown-issuer',
    'A JWT of an unknown issuer',
    `${part({ alg: 'ES256', typ: 'at+jwt', kid: '1' })}.${part({ iss: 'https://conformance.invalid', sub: 'suite', exp: 4102444800 })}.${'A'.repeat(86)}`
  ],
  ['jwt-of-dots', 'A token of two dots', '..']
]

const NOT_ENABLED = rfc(
  6750,
  '3',
  'If the protected resource request [...] does not contain an access token that enables access to the protected resource, the resource server MUST include the HTTP "WWW-Authenticate" response header field'
)

const garbage: readonly Check[] = [
  ...GARBAGE.map(
    ([id, what, token]): Check => ({
      id: `rfc6750-${id}`,
      title: `${what} is refused.`,
      profile: 'rfc6750',
      level: 'MUST',
      source: NOT_ENABLED,
      run: async (context) => refuses(context, await context.send({ token }), what)
    })
  ),
  {
    id: 'rfc6750-invalid-token-status',
    title: 'A refused token is answered with 401.',
    profile: 'rfc6750',
    level: 'SHOULD',
    source: INVALID_TOKEN,
    async run(context) {
      for (const [, what, token] of GARBAGE) {
        const response = await context.send({ token })
        // 400 is in order where the token cannot be read, and other checks find success and server errors.
        const isOther = response.status > 401 && response.status < 500
        if (!isOther) continue
        context.fail({
          expected: `${what} is refused with 401.`,
          received: `The API answers ${told(response)}.`,
          change: 'Answer 401 with error="invalid_token": 403 says that the token is good.',
          ...hiddenLevel(response)
        })
      }
    }
  }
]

const malformed: readonly Check[] = (
  [
    ['empty-token', 'Bearer without a token', 'Bearer'],
    ['two-tokens-in-one', 'A field with two tokens', `Bearer ${UNKNOWN} ${UNKNOWN}`],
    ['comma-list', 'A list of two credentials in one field', `Bearer ${UNKNOWN}, Bearer ${UNKNOWN}`]
  ] as const
).map(([id, what, value]) => ({
  id: `rfc6750-${id}`,
  title: `${what} is refused with 400 or 401.`,
  profile: 'rfc6750',
  level: 'SHOULD',
  source: INVALID_REQUEST,
  needs: ['bearer'],
  async run(context: CheckContext) {
    const response = await context.send(authorized(value))
    refuses(context, response, what)
    if (response.status === 400 || response.status === 401) return
    context.fail({
      expected: `${what} is refused with 400 (or 401).`,
      received: `The API answers ${told(response)}.`,
      change: 'Answer 400 with error="invalid_request".',
      ...hiddenLevel(response)
    })
  }
}))

const places: readonly Check[] = [
  {
    id: 'rfc6750-query-token',
    title: 'A token in the query is not taken.',
    profile: 'rfc6750',
    level: 'SHOULD',
    needs: ['bearer'],
    source: rfc(
      6750,
      '2.3',
      'Because of the security weaknesses associated with the URI method (see Section 5), including the high likelihood that the URL containing the access token will be logged, it SHOULD NOT be used unless it is impossible to transport the access token'
    ),
    also: [FAPI2_HAPPY_FLOW],
    run: (context) => {
      const { pathname, search } = context.url
      const target = `${pathname}${search === '' ? '?' : `${search}&`}access_token=${UNKNOWN}`
      return ignores(context, { target }, 'the query')
    }
  },
  {
    id: 'rfc6750-cookie-token',
    title: 'A token in a cookie is not taken.',
    profile: 'hardening',
    level: 'hardening',
    needs: ['bearer'],
    run: (context) =>
      ignores(context, { fields: [['Cookie', `access_token=${UNKNOWN}; token=${UNKNOWN}`]] }, 'a cookie')
  },
  {
    id: 'rfc6750-body-token',
    title: 'A token in a form body is not taken.',
    profile: 'rfc6750',
    level: 'SHOULD',
    source: rfc(
      6750,
      '2.2',
      'The "application/x-www-form-urlencoded" method SHOULD NOT be used except in application contexts where participating browsers do not have access to the "Authorization" request header field.'
    ),
    needs: ['bearer', 'methods'],
    run: (context) =>
      ignores(
        context,
        {
          method: 'POST',
          fields: [['Content-Type', 'application/x-www-form-urlencoded']],
          body: `access_token=${UNKNOWN}`
        },
        'the body'
      )
  },
  {
    id: 'rfc6750-https',
    title: 'The API is reached by https.',
    profile: 'rfc6750',
    level: 'MUST',
    source: rfc(
      6750,
      '5.3',
      'Clients MUST always use TLS [RFC5246] (https) or equivalent transport security when making requests with bearer tokens.'
    ),
    async run({ url, isPrivate, fail, skip }) {
      if (url.protocol === 'https:') return
      if (isPrivate) skip('http is in order on a loopback or private host')
      fail({
        expected: 'The URL begins with https.',
        received: `It begins with ${url.protocol}.`,
        change: 'Serve the API by https only.'
      })
    }
  }
]

export const rfc6750Checks: readonly Check[] = [...challenges, ...garbage, ...malformed, ...places]
