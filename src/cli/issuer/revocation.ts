/**
 * Revocation (RFC 7009) of the tokens that the printed client got. With oidc-provider, that package revokes the tokens of
 * registered clients.
 *
 * A revoked token is inactive for introspection. Does NOT reach an API that verifies a JWT by its signature alone: the API
 * accepts it until `exp`, unless the route has `fresh()`.
 *
 * Tests: `test/cli/issuer.test.ts`.
 */
import type { IncomingMessage } from 'node:http'
import { type Answer, type Credentials, OAuthError, parameter, readCredentials, requireClient } from './answers.js'
import type { Tokens } from './tokens.js'

/**
 * Ignores `token_type_hint`, as §2.1 allows. An unknown or expired token is revoked already (§2.2).
 *
 * @throws {OAuthError} 401 `invalid_client`; 400 `invalid_request` without a token, and for the token of another client
 */
export function revokeToken(
  request: IncomingMessage,
  form: URLSearchParams,
  client: Credentials,
  tokens: Tokens
): Answer {
  requireClient(readCredentials(request, form), client)
  const token = parameter(form, 'token')
  if (token === undefined) throw new OAuthError(400, 'invalid_request', 'token is missing.')
  const owner = tokens.introspect(token)?.['client_id']
  if (owner !== undefined && owner !== client.clientId)
    throw new OAuthError(400, 'invalid_request', 'token was issued to another client.')
  tokens.forget(token)
  return { status: 200, headers: { 'Cache-Control': 'no-store' } }
}
