/**
 * Finds out with good tokens which kinds of token the API accepts, so that the checks of the others are not applicable.
 *
 * Tests: `test/conformance/oracle.suite.ts`.
 */
import type { Need, SuiteIssuer, WireRequest, WireResponse } from '../check.js'

/**
 * Sends a good opaque token, a good DPoP token and a good token of the second issuer.
 *
 * Does NOT find out about certificates, scopes and revocation: the user declares these.
 */
export async function detectFeatures(
  url: URL,
  issuer: SuiteIssuer,
  send: (request: WireRequest) => Promise<WireResponse>
): Promise<readonly Need[]> {
  const found: Need[] = []
  const isAccepted = async (fields: NonNullable<WireRequest['fields']>): Promise<boolean> =>
    (await send({ fields })).status < 400
  if (await isAccepted([['Authorization', `Bearer ${issuer.opaque()}`]])) found.push('introspection')
  if (issuer.second !== undefined && (await isAccepted([['Authorization', `Bearer ${issuer.second.token()}`]])))
    found.push('second-issuer')
  const key = issuer.dpopKey()
  const token = issuer.token({ claims: { cnf: { jkt: key.jkt } } })
  const proofFor = (nonce?: string): string =>
    key.proof({ method: 'GET', url: url.href, token }, nonce === undefined ? {} : { claims: { nonce } })
  const first = await send({
    fields: [
      ['Authorization', `DPoP ${token}`],
      ['DPoP', proofFor()]
    ]
  })
  const nonce = first.fields.find(([name]) => name === 'dpop-nonce')?.[1]
  const isBound =
    first.status < 400 ||
    (nonce !== undefined &&
      (await isAccepted([
        ['Authorization', `DPoP ${token}`],
        ['DPoP', proofFor(nonce)]
      ])))
  if (isBound) found.push('dpop')
  return found
}
