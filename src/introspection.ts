/**
 * RFC 7662: asks the authorization server whether an opaque token is active, and reads the answer.
 *
 * Does NOT check issuer, audience and time, which an active token must satisfy all the same (RFC 7662 §4), and does
 * NOT cache: see `access-token.ts`. Never sends a token to a second server.
 */
import { withDeadline } from './awaitable.js'
import { deepFreeze } from './claims.js'
import { Misconfigured, Unavailable } from './errors.js'
import type { Answer, Http } from './http.js'
import type { Issuer } from './issuer.js'
import type { IntrospectionSettings } from './issuer-settings.js'
import type { Awaitable, Claims } from './types.js'

/**
 * @param deadline  seconds that `introspection.auth` may take
 * @returns the members of the answer, frozen; or undefined for a token that is not active
 * @throws {Unavailable} the server did not answer, or asked for patience
 * @throws {Misconfigured} it refused *our* credentials, or does not speak RFC 7662
 */
export async function introspect(
  token: string,
  issuer: Issuer,
  { http, deadline }: { readonly http: Http; readonly deadline: number }
): Promise<Claims | undefined> {
  const settings = issuer.settings.introspection as IntrospectionSettings
  const answer = await issuer.limits.run(async () =>
    http(await introspectionRequest(token, issuer, settings, deadline))
  )
  return readAnswer(answer, issuer.settings.issuer)
}

async function introspectionRequest(
  token: string,
  issuer: Issuer,
  { clientId, auth, endpoint }: IntrospectionSettings,
  deadline: number
): Promise<Parameters<Http>[0]> {
  const url = await issuer.introspectionEndpoint()
  // With an endpoint in the settings nothing needs to be discovered: the issuer identifier is all that most methods read.
  const as =
    endpoint === undefined
      ? await issuer.metadata()
      : { issuer: issuer.settings.issuer, introspection_endpoint: endpoint }
  const body = new URLSearchParams({ token, token_type_hint: 'access_token' })
  const headers = new Headers({ accept: 'application/json', 'content-type': 'application/x-www-form-urlencoded' })
  try {
    await withDeadline(auth(as, { client_id: clientId }, body, headers) as Awaitable<void>, deadline, () => {
      return new Unavailable('introspection', `\`introspection.auth\` did not finish within ${deadline} s`)
    })
  } catch (cause) {
    if (cause instanceof Unavailable) throw cause
    throw new Misconfigured(`the \`introspection.auth\` of ${issuer.settings.issuer} failed`, { cause })
  }
  return {
    url,
    method: 'POST',
    headers: Object.fromEntries(headers),
    body: body.toString(),
    dependency: 'introspection'
  }
}

function readAnswer({ status, contentType, body }: Answer, issuer: string): Claims | undefined {
  const refusal = `the introspection endpoint of ${issuer}`
  if (status === 401 || status === 403 || status === 400) {
    throw new Misconfigured(
      `${refusal} answered ${status} to our request: check \`introspection.auth\` and \`clientId\`, and that this client may introspect`
    )
  }
  if (status !== 200)
    throw new Misconfigured(
      `${refusal} answered ${status}, which RFC 7662 does not provide for: check \`introspection.endpoint\``
    )
  const members = contentType.endsWith('json') ? parseObject(body) : undefined
  const active = members?.['active']
  if (active === false) return undefined
  if (members === undefined || active !== true)
    throw new Misconfigured(
      `${refusal} did not answer with a JSON object whose \`active\` is a boolean (RFC 7662 §2.2)`
    )
  return deepFreeze(members)
}

function parseObject(text: string): Claims | undefined {
  try {
    const value: unknown = JSON.parse(text)
    return typeof value === 'object' && value !== null && !Array.isArray(value) ? (value as Claims) : undefined
  } catch {
    return undefined
  }
}
