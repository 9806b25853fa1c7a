/**
 * The grant `client_credentials` (RFC 6749 §4.4) of the printed client: a resource (RFC 8707), scopes, and a DPoP key.
 *
 * Tests: `test/cli/issuer.test.ts`.
 */
import type { IncomingMessage } from 'node:http'
import { type Answer, type Credentials, OAuthError, parameter, readCredentials, requireClient } from './answers.js'
import type { ReadProof } from './dpop.js'
import type { IssuerSettings } from './settings.js'
import { TOKEN_LIFETIME, type Tokens } from './tokens.js'

interface Parts {
  readonly client: Credentials
  readonly settings: IssuerSettings
  readonly tokens: Tokens
  readonly readProof: ReadProof
}

/** @throws {OAuthError} `invalid_client`, `unsupported_grant_type`, `invalid_target`, `invalid_scope`, `invalid_dpop_proof` … */
export async function issueToken(
  request: IncomingMessage,
  form: URLSearchParams,
  { client, settings, tokens, readProof }: Parts
): Promise<Answer> {
  requireClient(readCredentials(request, form), client)
  const grantType = parameter(form, 'grant_type')
  if (grantType === undefined) throw new OAuthError(400, 'invalid_request', 'grant_type is missing.')
  if (grantType !== 'client_credentials')
    throw new OAuthError(
      400,
      'unauthorized_client',
      `The client ${JSON.stringify(client.clientId)} may use the grant client_credentials only: register a client for others.`
    )
  const audience = readResource(form.getAll('resource').filter(Boolean), settings)
  const scopes = readScope(parameter(form, 'scope'), settings)
  const jkt = await readProof(request)
  const { clientId } = client
  return {
    status: 200,
    headers: { 'Cache-Control': 'no-store' },
    body: {
      access_token: tokens.issue({ audience, subject: clientId, clientId, scopes, jkt }),
      token_type: jkt === undefined ? 'Bearer' : 'DPoP',
      expires_in: TOKEN_LIFETIME,
      scope: scopes.join(' ')
    }
  }
}

function readResource(given: readonly string[], { resources }: IssuerSettings): string {
  const [first = resources[0] as string, ...more] = given
  const resource = findResource(resources, first)
  if (more.length > 0) throw new OAuthError(400, 'invalid_target', 'Give one resource: a token is for one API.')
  if (resource === undefined) throw new OAuthError(400, 'invalid_target', unknownResource(resources))
  return resource
}

/** The resource in the settings that a URL names: spellings of one URL, as with and without a slash after the host, are equal. */
export function findResource(resources: readonly string[], given: string): string | undefined {
  if (!URL.canParse(given)) return undefined
  const { href } = new URL(given)
  return resources.find((one) => one === given) ?? resources.find((one) => new URL(one).href === href)
}

export function unknownResource(resources: readonly string[]): string {
  return `resource must be one of ${resources.join(' ')}: start the issuer with --resource for another.`
}

function readScope(given: string | undefined, { scopes }: IssuerSettings): readonly string[] {
  if (given === undefined) return scopes
  const asked = [...new Set(given.split(' ').filter(Boolean))]
  if (!asked.every((one) => scopes.includes(one)))
    throw new OAuthError(
      400,
      'invalid_scope',
      `${scopes.length === 0 ? 'The issuer has no scopes' : `scope must be among ${scopes.join(' ')}`}: start the issuer with --scope for another.`
    )
  return asked
}
