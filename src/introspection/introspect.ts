/**
 * Asks the authorization server whether a token is active (RFC 7662), and reads its answer: plain JSON, a signed JWT
 * (RFC 9701), or the server's own dialect.
 *
 * Does NOT check issuer, audience and time, which an active token must satisfy too (RFC 7662 §4). Does NOT cache: see
 * `cache.ts`. Never sends a token to a second server.
 *
 * Tests: `test/rfc/rfc7662-introspection.test.ts`.
 */

import { isPromise, unlessAborted, withDeadline } from '../base/awaitable.js'
import { deepFreeze, isObject, isTooDeep, MAX_DEPTH } from '../base/json.js'
import { world } from '../base/world.js'
import { InvalidToken, Misconfigured, Unavailable } from '../errors/errors.js'
import type { Waiting } from '../http/callers.js'
import { type Answer, describeStatus, type Http } from '../http/exchange.js'
import type { Standing } from '../http/places.js'
import { isFormEncoded } from '../issuer/client-auth.js'
import { errorOf } from '../issuer/introspection-evidence.js'
import type { IntrospectionDialect, IntrospectionSettings } from '../issuer/introspection-settings.js'
import type { Issuer } from '../issuer/issuer.js'
import type { Awaitable, Claims } from '../types.js'
import { readSignedAnswer, SIGNED_ANSWER, type SignedAnswerMeans } from './signed-answer.js'

const FORM = 'application/x-www-form-urlencoded'

export interface IntrospectionMeans extends SignedAnswerMeans {
  readonly http: Http
  /** Maximum seconds that `introspection.auth` may take. */
  readonly deadline: number
}

/** One introspection. */
interface Question {
  readonly token: string
  readonly issuer: Issuer
  /** The callers that wait for the answer: nothing is sent once all of them have left. */
  readonly waiting: Waiting
  /** Whether the token was active before. */
  readonly standing: Standing
}

/**
 * @returns the members of the answer, frozen; or undefined for a token that is not active
 * @throws {InvalidToken} the server answered 400 about the token, or its answer is nested too deep; never cached
 * @throws {Unavailable} the server did not answer, or asked us to retry later
 * @throws {Misconfigured} the server rejected *our* credentials, or did not answer by RFC 7662, or by RFC 9701 if a signed
 *   answer was requested
 */
export async function introspect(
  { token, issuer, waiting, standing }: Question,
  means: IntrospectionMeans
): Promise<Claims | undefined> {
  const settings = issuer.settings.introspection as IntrospectionSettings
  const { signal } = waiting
  const send = async (): Promise<Answer> => {
    const request = await unlessAborted(introspectionRequest(token, issuer, settings, means.deadline), signal)
    signal.throwIfAborted()
    waiting.goOut()
    return means.http(request)
  }
  const answer = await issuer.limits.run(send, standing, signal)
  const about = `the introspection endpoint of ${issuer.settings.label}`
  if (settings.dialect) return readDialect(answer, settings.dialect, about)
  const time = means.now()
  if (answer.status === 400) {
    const anonymous = (): Promise<Answer> =>
      issuer.limits.run(async () => means.http(await anonymousRequest(issuer)), 'stranger', signal)
    const why = await issuer.evidence.aboutToken(answer, token, time, settings.signedResponse ? anonymous : undefined)
    if (why !== undefined) {
      issuer.warn(
        `introspection: the server answered 400 to a token, and ${why}. Such tokens are refused. The server should answer {"active":false} (RFC 7662 §2.2)`
      )
      throw new InvalidToken('inactive', { expected: 'status 200', received: 400 })
    }
  }
  requireSuccess(answer, token, about, settings)
  const members = settings.signedResponse ? await readSignedAnswer(answer, issuer, means) : readJson(answer)
  const active = readActive(members, about)
  issuer.evidence.answered(token, time)
  return active
}

async function introspectionRequest(
  token: string,
  issuer: Issuer,
  { clientId, auth, endpoint, signedResponse, dialect }: IntrospectionSettings,
  deadline: number
): Promise<Parameters<Http>[0]> {
  const url = await issuer.introspectionEndpoint()
  // An endpoint in the settings makes discovery unnecessary: most methods read only the issuer identifier.
  const as =
    endpoint === undefined
      ? await issuer.metadata()
      : { issuer: issuer.settings.issuer, introspection_endpoint: endpoint }
  const headers = new Headers({
    accept: signedResponse ? SIGNED_ANSWER : 'application/json',
    'content-type': FORM
  })
  const body = dialect ? dialectForm(token, dialect) : new URLSearchParams({ token, token_type_hint: 'access_token' })
  try {
    await withDeadline(auth(as, { client_id: clientId }, body, headers) as Awaitable<void>, deadline, () => {
      return new Unavailable('introspection', `\`introspection.auth\` did not finish within ${deadline} s`)
    })
  } catch (cause) {
    if (cause instanceof Unavailable) throw cause
    throw new Misconfigured(`the \`introspection.auth\` of ${issuer.settings.label} failed`, { cause })
  }
  return {
    url,
    method: 'POST',
    headers: Object.fromEntries(headers),
    body: body.toString(),
    dependency: 'introspection'
  }
}

/** A made-up token without credentials. Its answer shows whether the server checks credentials before it reads the token. */
async function anonymousRequest(issuer: Issuer): Promise<Parameters<Http>[0]> {
  const token = world.bytes(32).toString('base64url')
  return {
    url: await issuer.introspectionEndpoint(),
    method: 'POST',
    headers: { accept: SIGNED_ANSWER, 'content-type': FORM },
    body: new URLSearchParams({ token, token_type_hint: 'access_token' }).toString(),
    dependency: 'introspection'
  }
}

function requireSuccess(
  { status, body }: Answer,
  token: string,
  about: string,
  { auth, clientId }: IntrospectionSettings
): void {
  if (status === 200) return
  const error = status === 400 ? errorOf(parse(body), token) : undefined
  if (error === 'unsupported_token_type')
    throw new Misconfigured(
      `${about} answered 400 \`${error}\`: it does not introspect tokens of this kind. If they are JWTs, let this server verify them: \`tokens: 'jwt'\` or \`'both'\``
    )
  const encoded = isFormEncoded(auth, clientId)
    ? '. The client identifier or secret has characters such as + : / % that `clientSecretBasic` form-encodes (RFC 6749 §2.3.1), and some servers do not decode them: try `clientSecretPost`'
    : ''
  throw new Misconfigured(
    status === 401 || status === 403 || status === 400
      ? `${about} answered ${status}${error === undefined ? '' : ` \`${error}\``} to our request: check \`introspection.auth\` and \`clientId\`, and that this client may introspect${encoded}`
      : `${about} ${describeStatus(status)}; RFC 7662 does not define this answer: check \`introspection.endpoint\``
  )
}

function readJson({ contentType, body }: Answer): unknown {
  return contentType.endsWith('json') ? parse(body) : undefined
}

/**
 * Reads `active`, which must be a boolean (RFC 7662 §2.2): values such as 'true' or 1 are rejected.
 *
 * @returns the answer, or undefined for a token that is not active
 * @throws {InvalidToken} an active answer is nested too deep: that concerns this token alone, so it is not an outage
 */
function readActive(answer: unknown, about: string): Claims | undefined {
  const active = isObject(answer) ? answer['active'] : undefined
  if (active === false) return undefined
  if (active !== true)
    throw new Misconfigured(`${about} did not answer with a JSON object whose \`active\` is a boolean (RFC 7662 §2.2)`)
  if (isTooDeep(answer))
    throw new InvalidToken('claim', { expected: `an introspection answer of at most ${MAX_DEPTH} levels` })
  return deepFreeze(answer as Claims)
}

function dialectForm(token: string, { form }: IntrospectionDialect): URLSearchParams {
  let fields: unknown
  try {
    fields = form(token)
  } catch (cause) {
    throw new Misconfigured('`introspection.dialect.form` failed', { cause })
  }
  if (!isObject(fields) || isPromise(fields))
    throw new Misconfigured(
      '`introspection.dialect.form` must return an object whose values are strings, not a promise'
    )
  return new URLSearchParams(fields as Readonly<Record<string, string>>)
}

/** Calls the user's `read`, which must return an object or undefined, and not a promise. */
function readDialect({ status, body }: Answer, { read }: IntrospectionDialect, about: string): Claims | undefined {
  if (status > 200 && status < 300)
    throw new Misconfigured(`${about} answered ${status}, which is not an answer about a token`)
  let members: unknown
  try {
    members = read(status, parse(body))
  } catch (cause) {
    throw new Misconfigured(`${about} answered ${status}, which \`introspection.dialect.read\` could not read`, {
      cause
    })
  }
  if (members === undefined) return undefined
  if (!isObject(members) || isPromise(members))
    throw new Misconfigured('`introspection.dialect.read` must return an object or undefined, not a promise')
  // `read` may have returned an RFC 7662 answer unchanged. Then its own `active` decides.
  return readActive({ active: true, ...members }, about)
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}
