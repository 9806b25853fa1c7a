// @ts-check
/** The MCP SDK's `requireBearerAuth`, with a verifier by jose, cached key set. */
import { requireBearerAuth } from '@modelcontextprotocol/sdk/server/auth/middleware/bearerAuth.js'
import { createRemoteJWKSet, jwtVerify } from 'jose'

/** @type {import('../lib/types.d.ts').Peer} */
export default {
  name: 'MCP SDK + jose',
  packages: ['@modelcontextprotocol/sdk', 'jose'],
  express: ({ issuer, jwksUri, audience }) => {
    const keys = createRemoteJWKSet(new URL(jwksUri))
    return requireBearerAuth({
      requiredScopes: ['read'],
      verifier: {
        verifyAccessToken: async (token) => {
          const { payload } = await jwtVerify(token, keys, { issuer, audience, typ: 'at+jwt' })
          return {
            token,
            clientId: String(payload['client_id']),
            scopes: String(payload['scope']).split(' '),
            expiresAt: /** @type {number} */ (payload.exp)
          }
        }
      }
    })
  }
}
