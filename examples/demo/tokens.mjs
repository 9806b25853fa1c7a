// @ts-check
/** The real tokens that the walk is made with. */
import { TWO_FACTORS } from './apis.mjs'
import { BILLING, RESOURCES } from './resources.mjs'

/** @param {Awaited<ReturnType<typeof import('./oauth-client.mjs').createOAuthClient>>} client */
export async function getTokens(client) {
  const read = 'orders:read'
  return {
    RS256: await client.clientCredentials(RESOURCES.RS256, read),
    PS256: await client.clientCredentials(RESOURCES.PS256, read),
    ES256: await client.clientCredentials(RESOURCES.ES256, read),
    EdDSA: await client.clientCredentials(RESOURCES.EdDSA, read),
    opaque: await client.clientCredentials(RESOURCES.opaque, read),
    revoked: await client.clientCredentials(RESOURCES.opaque, read),
    writer: await client.clientCredentials(RESOURCES.EdDSA, `${read} orders:write`),
    billing: await client.clientCredentials(BILLING, 'bills:read'),
    alice: await client.authorizationCode(RESOURCES.ES256, read),
    dpop: await client.dpopBound(RESOURCES.ES256, read),
    aliceTwice: await client.authorizationCode(RESOURCES.ES256, read, { acr_values: TWO_FACTORS }),
    aliceOpaque: await client.authorizationCode(RESOURCES.opaque, read)
  }
}
