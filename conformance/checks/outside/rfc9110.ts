/**
 * RFC 9110 and RFC 9325 from outside, as far as they concern authentication: grammar of challenges, HEAD, schemes, TLS.
 *
 * Tests: `test/conformance/checks.test.ts`.
 */
import { challengeOf, challengesOf, fieldOf, parameterOf } from '../../challenge.js'
import type { Check, WireResponse } from '../../check.js'
import { NoAnswer } from '../../engine/wire.js'
import { authorized, refusalOfUnknown, refusalsOf, rfc, told, UNKNOWN } from './judge.js'

export const rfc9110Checks: readonly Check[] = [
  {
    id: 'rfc9110-challenge-grammar',
    title: 'Challenges follow the grammar of WWW-Authenticate.',
    profile: 'rfc6750',
    level: 'MUST',
    source: rfc(
      9110,
      '2.2',
      'A sender MUST NOT generate protocol elements that do not match the grammar defined by the corresponding ABNF rules.'
    ),
    async run(context) {
      for (const response of await refusalsOf(context)) {
        const { problem } = challengesOf(response)
        if (problem !== undefined)
          context.fail({
            expected:
              'Each WWW-Authenticate line is a list of challenges: scheme, space, name="value" separated by commas.',
            received: `${problem}.`,
            change: 'Quote each value, separate parameters by commas, and escape quotation marks and backslashes.'
          })
      }
    }
  },
  {
    id: 'rfc9110-401-challenge',
    title: 'Every 401 has a challenge.',
    profile: 'rfc6750',
    level: 'MUST',
    source: rfc(
      9110,
      '15.5.2',
      'The server generating a 401 response MUST send a WWW-Authenticate header field (Section 11.6.1) containing at least one challenge applicable to the target resource.'
    ),
    async run({ send, fail, scheme }) {
      for (const request of [{ token: UNKNOWN }, authorized(scheme), authorized(UNKNOWN), { method: 'HEAD' }]) {
        const response = await send(request)
        if (response.status === 401 && challengesOf(response).challenges.length === 0)
          fail({
            expected: 'Each answer with status 401 has a WWW-Authenticate field with a challenge.',
            received: `The API answers ${told(response)}.`,
            change: 'Make all refusals in one place, which adds the challenge.'
          })
      }
    }
  },
  {
    id: 'rfc9110-parameter-once',
    title: 'No parameter name occurs twice in a challenge.',
    profile: 'rfc6750',
    level: 'MUST',
    source: rfc(
      9110,
      '11.2',
      'Authentication parameters are name/value pairs, where the name token is matched case-insensitively and each parameter name MUST only occur once per challenge.'
    ),
    async run(context) {
      for (const response of await refusalsOf(context))
        for (const { scheme, parameters } of challengesOf(response).challenges) {
          const names = parameters.map(({ name }) => name.toLowerCase())
          const twice = names.find((name, index) => names.indexOf(name) !== index)
          if (twice !== undefined)
            context.fail({
              expected: 'Each name occurs once in a challenge.',
              received: `${twice} occurs twice in the challenge ${scheme}.`,
              change: `Send ${twice} once.`
            })
        }
    }
  },
  {
    id: 'rfc9110-realm-quoted',
    title: 'A realm is a quoted string.',
    profile: 'rfc6750',
    level: 'MUST',
    source: rfc(9110, '11.5', 'For historical reasons, a sender MUST only generate the quoted-string syntax.'),
    async run(context) {
      const realms = (await refusalsOf(context))
        .flatMap((response) => challengesOf(response).challenges)
        .flatMap(({ parameters }) => parameters.filter(({ name }) => name.toLowerCase() === 'realm'))
      if (realms.length === 0) context.skip('no challenge has a realm')
      if (realms.some(({ isQuoted }) => !isQuoted))
        context.fail({
          expected: 'realm="…".',
          received: 'realm without quotes.',
          change: 'Put the realm in quotes.'
        })
    }
  },
  {
    id: 'rfc9449-challenge-algs',
    title: 'A DPoP challenge names the algorithms of proofs, and all of them are asymmetric.',
    profile: 'rfc6750',
    level: 'SHOULD',
    source: rfc(
      9449,
      '7.1',
      'An algs parameter SHOULD be included to signal to the client the JWS algorithms that are acceptable for the DPoP proof JWT.'
    ),
    async run({ probe, fail, skip }) {
      const challenge = challengeOf(probe, 'DPoP')
      if (challenge === undefined) return skip('the API asks for no DPoP proofs')
      const algs = parameterOf(challenge, 'algs')
      if (algs !== undefined && /^\S+(?: \S+)*$/.test(algs) && !/\bnone\b|\bHS\d/i.test(algs)) return
      fail({
        expected: 'algs="ES256 …" in the DPoP challenge: asymmetric algorithms, separated by spaces.',
        received: algs === undefined ? `No algs: ${told(probe)}.` : `algs=${JSON.stringify(algs.slice(0, 120))}.`,
        change: 'Add algs with the algorithms that you accept, without none and HS256.'
      })
    }
  },
  {
    id: 'rfc9470-max-age-number',
    title: 'The challenge parameter `max_age` is a number of seconds.',
    profile: 'rfc6750',
    level: 'hardening',
    source: rfc(9470, '3', 'it has to represent a non-negative integer'),
    async run(context) {
      const ages = (await refusalsOf(context))
        .flatMap((response) => challengesOf(response).challenges)
        .flatMap((one) => parameterOf(one, 'max_age') ?? [])
      if (ages.length === 0) context.skip('no challenge has max_age')
      const wrong = ages.find((age) => !/^\d+$/.test(age))
      if (wrong !== undefined)
        context.fail({
          expected: 'max_age="300".',
          received: `max_age=${JSON.stringify(wrong.slice(0, 80))}.`,
          change: 'Write the seconds in digits.'
        })
    }
  },
  {
    id: 'rfc9110-scheme-case',
    title: 'The scheme Bearer is read in any case.',
    profile: 'rfc6750',
    level: 'hardening',
    needs: ['bearer'],
    source: rfc(9110, '11.1', 'It uses a case-insensitive token to identify the authentication scheme'),
    async run(context) {
      const usual = await refusalOfUnknown(context)
      for (const scheme of ['bearer', 'BEARER', 'bEaReR']) {
        const response = await context.send(authorized(`${scheme} ${UNKNOWN}`))
        if (answerOf(response) !== answerOf(usual))
          context.fail({
            expected: `Credentials with ${scheme} are read as those with Bearer: ${told(usual)}.`,
            received: `The API answers ${told(response)}.`,
            change: 'Compare the scheme without regard to case.'
          })
      }
    }
  },
  {
    id: 'rfc9110-head',
    title: 'HEAD without a token is refused as GET is.',
    profile: 'rfc6750',
    level: 'SHOULD',
    source: rfc(
      9110,
      '9.3.2',
      'The server SHOULD send the same header fields in response to a HEAD request as it would have sent if the request method had been GET.'
    ),
    async run({ send, probe, fail }) {
      const response = await send({ method: 'HEAD' })
      if (response.status === 405 || response.status === 501) return
      const same =
        fieldOf(response, 'www-authenticate') !== undefined || fieldOf(probe, 'www-authenticate') === undefined
      if (response.status === probe.status && same) return
      fail({
        expected: `HEAD is answered as GET is: status ${probe.status} and the same challenge.`,
        received: `The API answers ${told(response)}.`,
        change: 'Protect HEAD by the same guard as GET.'
      })
    }
  },
  {
    id: 'rfc9112-host-twice',
    title: 'A request with two Host lines is refused with 400.',
    profile: 'hardening',
    level: 'hardening',
    source: rfc(
      9112,
      '3.2',
      'A server MUST respond with a 400 (Bad Request) status code to any HTTP/1.1 request message that lacks a Host header field and to any request message that contains more than one Host header field line'
    ),
    async run({ send, url, fail }) {
      const response = await send({
        fields: [
          ['Host', url.host],
          ['Host', 'conformance.invalid']
        ]
      })
      // Edges in front of many hosts answer 403, 404 or 421 to a host that they do not know: the request is refused.
      if (response.status >= 400 && response.status < 500 && response.status !== 401) return
      fail({
        expected: 'Status 400.',
        received: `The API answers ${told(response)}.`,
        change:
          'Use the strict parser of the HTTP server (Node.js: requireHostHeader, and refuse rawHeaders with two Host lines).'
      })
    }
  },
  {
    id: 'rfc9325-tls11',
    title: 'TLS 1.1 is not negotiated.',
    profile: 'hardening',
    level: 'MUST',
    source: rfc(9325, '3.1.1', 'Implementations MUST NOT negotiate TLS version 1.1 [RFC4346].'),
    needs: ['https'],
    async run({ send, fail }) {
      try {
        await send({ maxTls: 'TLSv1.1' })
      } catch (error) {
        if (error instanceof NoAnswer) return
        throw error
      }
      fail({
        expected: 'The handshake fails when the client offers TLS 1.1 at most.',
        received: 'The API answered a request by TLS 1.1.',
        change: 'Set the minimum version to TLS 1.2 (nginx: ssl_protocols TLSv1.2 TLSv1.3).'
      })
    }
  }
]

/** The part of an answer that must not depend on the case of the scheme. */
function answerOf(response: WireResponse): string {
  return `${response.status} ${parameterOf(challengeOf(response), 'error') ?? ''}`
}
