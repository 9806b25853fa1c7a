/**
 * Checks of signed introspection answers (RFC 9701), if the API asks for them by `Accept: application/token-introspection+jwt`.
 *
 * Does NOT encrypt answers.
 *
 * Tests: `test/conformance/mutants.suite.ts`.
 */
import type { AnswerFlaw, Check, CheckContext, Source } from '../../check.js'
import * as source from '../sources.js'
import { fromNow, isAccepted, refuses, requireAcceptance, told, withToken } from './judge.js'

const SIGNED = 'application/token-introspection+jwt'

const change =
  'Verify the signature, `typ`, `iss`, `aud` and times of a signed introspection answer before you read what it says.'

/** Sends an opaque token whose signed answer has this flaw. @throws {NotApplicable} the API does not ask for signed answers */
async function sendAnswered(context: CheckContext, flaw: AnswerFlaw): Promise<Parameters<typeof isAccepted>[0]> {
  const response = await context.send(withToken(context.issuer.opaque({}, flaw)))
  const asked = context.issuer.requests.findLast(({ path }) => path === '/introspect')
  if (asked?.accept.includes(SIGNED) !== true) context.skip(`the API does not ask for answers of the type ${SIGNED}`)
  return response
}

/** The answer, not the token, is wrong: a refusal and an error of the server are both in order. */
function neverAccepts(
  id: string,
  title: string,
  flaw: AnswerFlaw | ((context: CheckContext) => AnswerFlaw),
  text?: Source
): Check {
  return {
    id: `rfc9701-${id}`,
    title,
    profile: 'rfc7662',
    level: text === undefined ? 'hardening' : 'MUST',
    ...(text && { source: text }),
    needs: ['issuer', 'introspection'],
    run: async (context) => {
      const response = await sendAnswered(context, typeof flaw === 'function' ? flaw(context) : flaw)
      if (isAccepted(response))
        context.fail({
          expected: 'The API does not accept the token.',
          received: `${told(response)} It accepted the request.`,
          change
        })
    }
  }
}

/** RFC 9701. */
export const rfc9701: readonly Check[] = [
  {
    id: 'rfc9701-signed',
    title: 'A token that a signed answer calls active is accepted.',
    profile: 'rfc7662',
    level: 'hardening',
    needs: ['issuer', 'introspection'],
    run: async (context) => {
      await sendAnswered(context, {})
      await requireAcceptance(context, withToken(context.issuer.opaque()), 'The API accepts the token.', change)
    }
  },
  neverAccepts('signature', 'A signed answer by an unpublished key accepts nothing.', { key: 'unpublished' }),
  neverAccepts('none', 'A signed answer with `alg: none` accepts nothing.', {
    header: { alg: 'none' },
    signature: () => Buffer.alloc(0)
  }),
  neverAccepts('tampered', 'A signed answer that was changed accepts nothing.', {
    signature: (made) => Buffer.concat([made.subarray(0, 255), Buffer.of((made[255] as number) ^ 1)])
  }),
  neverAccepts('typ', 'A signed answer of another `typ` accepts nothing.', { header: { typ: 'JWT' } }),
  neverAccepts(
    'iss',
    'A signed answer of another issuer accepts nothing.',
    { claims: { iss: 'https://another-issuer.example' } },
    source.ANSWER_ISSUER
  ),
  neverAccepts(
    'aud',
    'A signed answer for another API accepts nothing.',
    { claims: { aud: 'https://another-api.example' } },
    source.ANSWER_AUDIENCE
  ),
  neverAccepts(
    'aud-missing',
    'A signed answer for no API accepts nothing.',
    { claims: { aud: undefined } },
    source.ANSWER_AUDIENCE
  ),
  neverAccepts('expired', 'A signed answer that ended an hour ago accepts nothing.', (context) => ({
    claims: { iat: fromNow(context, -7200), exp: fromNow(context, -3600) }
  })),
  neverAccepts('members', 'A signed answer whose members stand beside `token_introspection` accepts nothing.', {
    isFlat: true
  }),
  neverAccepts('plain', 'An answer in plain JSON accepts nothing, if the API asked for a signed one.', {
    isPlain: true
  }),
  refuses({
    id: 'rfc9701-as-token',
    title: 'A signed introspection answer is not taken for an access token.',
    profile: 'rfc9068',
    source: source.TYPE,
    flaw: { header: { typ: 'token-introspection+jwt' } },
    change: 'Accept a JWT as an access token only if its `typ` is `at+jwt` or `application/at+jwt`.'
  })
]
