/**
 * Checks of JWT access tokens (RFC 9068 §4, RFC 7519 §4.1): type, issuer, audience and times.
 *
 * Tests: `test/conformance/mutants.suite.ts`.
 */
import type { Check, WireResponse } from '../../check.js'
import { hiddenLevel } from '../outside/judge.js'
import * as source from '../sources.js'
import {
  accepts,
  fieldOf,
  fromNow,
  isAccepted,
  refuses,
  requireAcceptance,
  requireRefusal,
  sendUntil,
  told,
  withToken
} from './judge.js'

const profile = 'rfc9068'
const changeType = 'Accept a JWT as an access token only if its `typ` is `at+jwt` or `application/at+jwt`.'
const changeIssuer = 'Compare `iss` with the configured issuer, character by character.'
const changeAudience = 'Accept a token only if `aud` is, or contains, exactly the identifier of this API.'
const changeTime = 'Refuse a token without a number in `exp`, and from that second on.'

const types: readonly Check[] = [
  refuses({
    id: 'rfc9068-typ-jwt',
    title: 'A JWT of another type, such as an ID token, is refused.',
    profile,
    source: source.TYPE,
    flaw: { header: { typ: 'JWT' } },
    change: changeType
  }),
  refuses({
    id: 'rfc9068-typ-missing',
    title: 'A JWT without a type is refused.',
    profile,
    source: source.TYPE,
    flaw: { header: { typ: undefined } },
    change: changeType
  }),
  refuses({
    id: 'rfc9068-typ-logout',
    title: 'A logout token is not taken for an access token.',
    profile,
    source: source.TYPE,
    flaw: { header: { typ: 'logout+jwt' } },
    change: changeType
  }),
  accepts({
    id: 'rfc9068-typ-application',
    title: 'The type `application/at+jwt` is accepted.',
    profile,
    source: source.TYPE,
    flaw: { header: { typ: 'application/at+jwt' } },
    change: changeType
  })
]

const issuers: readonly Check[] = [
  refuses({
    id: 'rfc9068-iss-other',
    title: 'A token with another `iss` is refused, although a trusted key signed it.',
    profile,
    source: source.ISSUER,
    flaw: { claims: { iss: 'https://another-issuer.example' } },
    change: changeIssuer
  }),
  refuses({
    id: 'rfc9068-iss-missing',
    title: 'A token without `iss` is refused.',
    profile,
    source: source.ISSUER,
    flaw: { claims: { iss: undefined } },
    change: changeIssuer
  }),
  refuses({
    id: 'rfc9068-iss-slash',
    title: 'An `iss` with a trailing slash is another issuer.',
    profile,
    source: source.ISSUER,
    flaw: ({ issuer }) => ({ claims: { iss: `${issuer.url}/` } }),
    change: changeIssuer
  }),
  refuses({
    id: 'rfc9068-iss-case',
    title: 'An `iss` in another case is another issuer.',
    profile,
    source: source.ISSUER,
    flaw: ({ issuer }) => ({ claims: { iss: issuer.url.replace('http', 'HTTP') } }),
    change: changeIssuer
  }),
  refuses({
    id: 'rfc9068-iss-prefix',
    title: 'An `iss` that begins with the issuer is another issuer.',
    profile,
    source: source.ISSUER,
    flaw: ({ issuer }) => ({ claims: { iss: `${issuer.url}.attacker.example` } }),
    change: changeIssuer
  })
]

/** Audiences that look like that of the API, and are not. */
const AUDIENCES: readonly (readonly [id: string, title: string, aud: (own: string) => unknown])[] = [
  ['other', 'A token for another API is refused.', () => 'https://another-api.example'],
  ['missing', 'A token without an audience is refused.', () => undefined],
  [
    'array-other',
    'A list of other audiences is refused.',
    () => ['https://another-api.example', 'https://third.example']
  ],
  ['empty', 'An empty list of audiences is refused.', () => []],
  ['prefix', 'An audience that the identifier of the API begins with is refused.', (own) => own.slice(0, -1)],
  ['longer', 'An audience that begins with the identifier of the API is refused.', (own) => `${own}.attacker.example`],
  ['case', 'An audience in another case is refused.', (own) => own.toUpperCase()],
  [
    'slash',
    'An audience that differs by a trailing slash is refused.',
    (own) => (own.endsWith('/') ? own.slice(0, -1) : `${own}/`)
  ],
  ['inside', 'An audience that contains the identifier of the API among other text is refused.', (own) => `x ${own} y`]
]

/** Audiences that a lenient comparison of URLs or patterns takes for the API. */
const lenient: readonly Check[] = [
  refuses({
    id: 'rfc9068-aud-origin',
    title: 'An audience that is the origin of the API, without its path, is refused.',
    profile,
    flaw: (context) => {
      const { audience } = context.issuer
      const url = URL.canParse(audience) ? new URL(audience) : undefined
      if (url === undefined || url.origin === 'null' || url.pathname === '/')
        return context.skip('the identifier of the API is not a URL with a path')
      return { claims: { aud: [url.origin, `${url.origin}/`] } }
    },
    change: changeAudience
  }),
  refuses({
    id: 'rfc9068-aud-pattern',
    title: 'An audience that is a pattern, or lists one inside another list, is refused.',
    profile,
    flaw: ({ issuer }) => ({ claims: { aud: ['*', '.*', '', [issuer.audience]] } }),
    change: changeAudience
  })
]

const audiences: readonly Check[] = [
  ...lenient,
  ...AUDIENCES.map(([id, title, aud]) =>
    refuses({
      id: `rfc9068-aud-${id}`,
      title,
      profile,
      source: source.AUDIENCE,
      flaw: ({ issuer }) => ({ claims: { aud: aud(issuer.audience) } }),
      change: changeAudience
    })
  ),
  accepts({
    id: 'rfc9068-aud-array',
    title: 'A list of audiences that contains the API is accepted.',
    profile,
    source: source.AUDIENCE_CONTAINS,
    flaw: ({ issuer }) => ({ claims: { aud: ['https://another-api.example', issuer.audience] } }),
    change: changeAudience
  })
]

const times: readonly Check[] = [
  refuses({
    id: 'rfc9068-exp-past',
    title: 'A token that ended an hour ago is refused.',
    profile,
    source: source.EXPIRY,
    flaw: (context) => ({ claims: { iat: fromNow(context, -7200), exp: fromNow(context, -3600) } }),
    change: changeTime
  }),
  refuses({
    id: 'rfc9068-exp-missing',
    title: 'A token without an end is refused.',
    profile,
    source: source.EXPIRY,
    flaw: { claims: { exp: undefined } },
    change: changeTime
  }),
  refuses({
    id: 'rfc9068-exp-text',
    title: 'A token whose `exp` is text is refused.',
    profile,
    source: source.EXPIRY_NUMBER,
    flaw: (context) => ({ claims: { exp: String(fromNow(context, 3600)) } }),
    change: changeTime
  }),
  refuses({
    id: 'rfc9068-exp-infinite',
    title: 'A token whose `exp` is a number that no clock reaches (1e999) is refused.',
    profile,
    flaw: { claimsText: (json) => json.replace(/"exp":\d+/, '"exp":1e999') },
    change: 'Refuse an `exp` that is not a finite number.'
  }),
  refuses({
    id: 'rfc9068-leeway',
    title: 'The leeway for clocks is at most ten minutes.',
    profile,
    level: 'MAY',
    source: {
      ...source.EXPIRY,
      quote:
        'Implementers MAY provide for some small leeway, usually no more than a few minutes, to account for clock skew.'
    },
    flaw: (context) => ({ claims: { iat: fromNow(context, -1260), exp: fromNow(context, -660) } }),
    change: 'Lower the leeway for `exp` to a minute or less.'
  }),
  refuses({
    id: 'rfc7519-nbf-future',
    title: 'A token that becomes valid in an hour is refused.',
    profile,
    source: source.NOT_BEFORE,
    flaw: (context) => ({ claims: { nbf: fromNow(context, 3600), exp: fromNow(context, 7200) } }),
    change: 'Refuse a token before the second in `nbf`.'
  }),
  refuses({
    id: 'rfc7519-nbf-text',
    title: 'A token whose `nbf` is text is refused.',
    profile,
    flaw: { claims: { nbf: 'tomorrow' } },
    change: 'Refuse a token with an `nbf` that is not a number.'
  }),
  refuses({
    id: 'rfc9068-iat-future',
    title: 'A token that was issued in the future is refused.',
    profile,
    flaw: (context) => ({ claims: { iat: fromNow(context, 3600), exp: fromNow(context, 7200) } }),
    change: 'Refuse a token with an `iat` of more than a minute ahead.'
  })
]

/**
 * Seconds after `exp`, in steps, to find how late the API accepts a new token. Each is a little less than a usual leeway (5, 10, 30,
 * 60, 120), so the wait until the token ends is short.
 */
const LEEWAYS = [0, 4, 9, 28, 58, 118] as const

/** An API that keeps verified tokens must know when each of them ends. */
const cached: Check = {
  id: 'rfc9068-exp-cached',
  title: 'A token that was accepted before is refused from its end on, as a new one is.',
  profile,
  level: 'MUST',
  source: source.EXPIRY,
  needs: ['issuer'],
  isTimed: true,
  run: async (context) => {
    const { issuer } = context
    const endedAt = (exp: number): string => issuer.token({ claims: { iat: exp - 600, exp } })
    let accepted = -1
    let leeway: number | undefined
    for (const seconds of LEEWAYS) {
      if (isAccepted(await context.send(withToken(endedAt(fromNow(context, -seconds)))))) accepted = seconds
      else {
        leeway = seconds
        break
      }
    }
    if (leeway === undefined) return context.skip('the API has a leeway of more than two minutes')
    const exp = fromNow(context, 2 - Math.max(accepted, 0))
    const token = endedAt(exp)
    await requireAcceptance(context, withToken(token), 'The API accepts the token before its end.', changeTime)
    const isOver = (response: WireResponse): boolean => !isAccepted(response)
    const seconds = exp + leeway + 1 - issuer.now()
    const { response, isRight } = await sendUntil(context, () => withToken(token), isOver, seconds)
    if (!isRight)
      context.fail({
        expected: `The API refuses the token at the latest ${leeway} seconds after its end, as it refuses a new one then.`,
        received: `${told(response)} It accepted the request.`,
        change: 'Keep no verified token longer than until its `exp`.'
      })
  }
}

const required: readonly Check[] = (['sub', 'client_id', 'iat', 'jti'] as const).map((claim) =>
  refuses({
    id: `rfc9068-claim-${claim.replace('_', '-')}`,
    title: `A token without \`${claim}\`, which RFC 9068 requires, is refused.`,
    profile,
    flaw: { claims: { [claim]: undefined } },
    change: `Require the claim \`${claim}\`: a JWT without it does not follow the profile, and may be no access token.`
  })
)

const errors: readonly Check[] = [
  {
    id: 'rfc9068-error-code',
    title: 'The challenge for a token that ended has the error code `invalid_token`.',
    profile,
    level: 'MUST',
    source: source.ERROR_CODE,
    needs: ['issuer'],
    run: async (context) => {
      const token = context.issuer.token({ claims: { iat: fromNow(context, -7200), exp: fromNow(context, -3600) } })
      const expected = 'The API answers 401 with `WWW-Authenticate: Bearer error="invalid_token"`.'
      const change = 'Name the error in the challenge, so that the client gets a new token.'
      const response = await requireRefusal(context, withToken(token), expected, change)
      const challenge = fieldOf(response, 'www-authenticate') ?? ''
      if (response.status !== 401 || !/\berror\s*=\s*"?invalid_token\b/i.test(challenge))
        context.fail({ expected, received: told(response), change, ...hiddenLevel(response) })
    }
  }
]

/** RFC 9068. */
export const rfc9068: readonly Check[] = [...types, ...issuers, ...audiences, ...times, cached, ...required, ...errors]
