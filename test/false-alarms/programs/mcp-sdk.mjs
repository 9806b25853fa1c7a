// @ts-check
/**
 * The bearer authentication of the MCP SDK behind Express, with its metadata router. Its documentation leaves the verifier to the
 * application: this one verifies JWTs with jose, and introspects other tokens as the example of the SDK does.
 */

import { InvalidTokenError } from '@modelcontextprotocol/sdk/server/auth/errors.js'
import { requireBearerAuth } from '@modelcontextprotocol/sdk/server/auth/middleware/bearerAuth.js'
import {
  getOAuthProtectedResourceMetadataUrl,
  mcpAuthMetadataRouter
} from '@modelcontextprotocol/sdk/server/auth/router.js'
import { checkResourceAllowed } from '@modelcontextprotocol/sdk/shared/auth-utils.js'
import express from 'express'
import { createRemoteJWKSet, errors, jwtVerify } from 'jose'

const { PORT, ISSUER = '', AUDIENCE = '' } = process.env
const server = new URL(`http://127.0.0.1:${PORT}/mcp`)
/** @type {any} */
const metadata = await (await fetch(`${ISSUER}/.well-known/oauth-authorization-server`)).json()
const keys = createRemoteJWKSet(new URL(metadata.jwks_uri))

const verifier = {
  /** @param {string} token */
  verifyAccessToken: async (token) => {
    const claims = token.includes('.') ? await verify(token) : await introspect(token)
    return {
      token,
      clientId: String(claims['client_id']),
      scopes: typeof claims['scope'] === 'string' ? claims['scope'].split(' ') : [],
      expiresAt: claims['exp']
    }
  }
}

/** @param {string} token @returns {Promise<any>} */
async function verify(token) {
  try {
    const { payload } = await jwtVerify(token, keys, { issuer: ISSUER, audience: AUDIENCE })
    return payload
  } catch (error) {
    if (error instanceof errors.JOSEError) throw new InvalidTokenError(error.message)
    throw error
  }
}

/** @param {string} token @returns {Promise<any>} */
async function introspect(token) {
  const response = await fetch(metadata.introspection_endpoint, {
    method: 'POST',
    headers: { 'Content-Type': 'application/x-www-form-urlencoded' },
    body: new URLSearchParams({ token }).toString()
  })
  if (!response.ok) throw new InvalidTokenError(`Invalid or expired token: ${await response.text()}`)
  /** @type {any} */
  const data = await response.json()
  if (data.active === false) throw new InvalidTokenError('Inactive token')
  if (!data.aud) throw new Error('Resource Indicator (RFC8707) missing')
  if (!checkResourceAllowed({ requestedResource: data.aud, configuredResource: server }))
    throw new Error(`Expected resource indicator ${server}, got: ${data.aud}`)
  return data
}

const app = express()
app.use(mcpAuthMetadataRouter({ oauthMetadata: metadata, resourceServerUrl: server, scopesSupported: ['orders:read'] }))
app.all(
  '/mcp',
  requireBearerAuth({
    verifier,
    requiredScopes: [],
    resourceMetadataUrl: getOAuthProtectedResourceMetadataUrl(server)
  }),
  (request, response) => {
    response.json({ client: request.auth?.clientId })
  }
)
app.listen(Number(PORT), '127.0.0.1')
