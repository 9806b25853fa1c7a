/**
 * The flags of the command for the mode with the authorization server of the suite, and the start of that server.
 *
 * Tests: `test/conformance/issuer-flags.test.ts`.
 */
import { readGivenFile, UsageError } from '../src/cli/command.js'
import type { Terminal } from '../src/cli/terminal.js'
import type { Declared, Need, RevocationWay } from './check.js'
import { RunProblem } from './engine/select.js'
import { DEFAULT_PORT, type RunningIssuer, startSuiteIssuer } from './issuer.js'

export const ISSUER_FLAGS = {
  'test-deployment': { type: 'boolean' },
  port: { type: 'string' },
  host: { type: 'string' },
  issuer: { type: 'string' },
  tls: { type: 'string' },
  'tls-key': { type: 'string' },
  audience: { type: 'string' },
  scope: { type: 'string' },
  'scoped-route': { type: 'string', multiple: true },
  'step-up': { type: 'string' },
  mtls: { type: 'boolean' },
  'certificate-field': { type: 'string' },
  'revoked-by': { type: 'string', multiple: true },
  'event-target': { type: 'string' },
  'logout-target': { type: 'string' },
  'revocation-seconds': { type: 'string' },
  stream: { type: 'string' }
} as const

export const ISSUER_HELP = `
With an authorization server of the suite, which the API is told to trust:
  --test-deployment       serve the issuer; the API has no data of real users
  --port NUMBER           of the issuer (9797); a second issuer has the next one
  --host ADDRESS          that the issuer listens on (127.0.0.1)
  --issuer URL            its identifier, if the API reaches it by another name
  --tls FILE              serve https with this certificate; --tls-key FILE
  --audience TEXT         of good tokens (the URL, without its query)
  --scope "A B"           of good tokens
  --scoped-route /PATH=SCOPE
                          a route and the scope it needs; may be repeated
  --step-up /PATH=ACR     a route and the authentication it needs (RFC 9470)
  --mtls, --certificate-field NAME
                          the API takes certificates, on TLS or in a field
  --revoked-by WAY        introspection, status-list, event or logout
  --event-target /PATH, --logout-target /PATH
  --stream /PATH          a route whose answer stays open as long as its token
  --revocation-seconds N  that a revocation may take (60)

An API that takes its issuer from MCP_CONFORMANCE_AUTH_SERVER_URL is started
with that variable set to http://127.0.0.1:9797.
`

type IssuerFlag = keyof typeof ISSUER_FLAGS

/**
 * The member `issuer` of a configuration file: flags by their names without dashes. A number may stand for its text.
 *
 * @throws {RunProblem} a flag that does not exist, or a value that the flag does not take
 */
export function issuerValuesOf(given: Readonly<Record<string, unknown>>, path: string): IssuerValues {
  const values: [string, IssuerValues[string]][] = []
  for (const [name, value] of Object.entries(given)) {
    if (!Object.hasOwn(ISSUER_FLAGS, name))
      throw new RunProblem(
        `${path}: issuer has the unknown member ${name}. Known: ${Object.keys(ISSUER_FLAGS).join(', ')}.`
      )
    const { type, ...flag } = ISSUER_FLAGS[name as IssuerFlag]
    const text = typeof value === 'number' ? String(value) : value
    const isList = 'multiple' in flag && Array.isArray(text) && text.every((one) => typeof one === 'string')
    // oxlint-disable-next-line valid-typeof -- the type of a flag is the name of a type of JavaScript
    if (typeof text !== type && !isList)
      throw new RunProblem(
        `${path}: issuer.${name} must be ${type === 'boolean' ? 'true or false' : 'multiple' in flag ? 'a list of texts' : 'a text'}, and is ${String(JSON.stringify(value)).slice(0, 60)}.`
      )
    values.push([name, text as IssuerValues[string]])
  }
  return Object.fromEntries(values)
}

const WAYS: readonly string[] = ['introspection', 'status-list', 'event', 'logout']

/** Values of the flags, by name without dashes. */
export type IssuerValues = Readonly<Record<string, string | boolean | readonly string[] | undefined>>

/** The facts about the API in these flags. @throws {UsageError} a value that cannot be read */
export function declaredBy(values: IssuerValues): { readonly declared: Declared; readonly has: readonly Need[] } {
  const text = (name: string): string | undefined => values[name] as string | undefined
  const routes = [values['scoped-route'] ?? []].flat() as string[]
  const ways = [values['revoked-by'] ?? []].flat() as string[]
  const unknown = ways.find((way) => !WAYS.includes(way))
  if (unknown !== undefined) throw new UsageError(`--revoked-by is ${unknown}: it must be one of ${WAYS.join(', ')}.`)
  const scopedRoutes = routes.map((route) => {
    const [target, scope] = pair(route, '--scoped-route', '/orders=orders:write')
    return { target, scope }
  })
  const [stepTarget, acr] = pair(text('step-up') ?? '/=', '--step-up', '/admin=strong')
  const seconds = text('revocation-seconds')
  const certificateField = text('certificate-field')
  const declared: Declared = {
    ...(scopedRoutes.length > 0 && { scopedRoutes }),
    ...(text('step-up') !== undefined && { stepUp: { target: stepTarget, acr } }),
    ...(certificateField !== undefined && { certificateField }),
    ...(ways.length > 0 && { revokedBy: ways as RevocationWay[] }),
    ...(text('event-target') !== undefined && { eventTarget: text('event-target') as string }),
    ...(text('logout-target') !== undefined && { logoutTarget: text('logout-target') as string }),
    ...(text('stream') !== undefined && { stream: text('stream') as string }),
    ...(seconds !== undefined && { revocationSeconds: numberOf(seconds, '--revocation-seconds') })
  }
  return { declared, has: values['mtls'] === true ? ['mtls'] : [] }
}

function pair(value: string, flag: string, example: string): readonly [string, string] {
  const at = value.indexOf('=')
  if (!value.startsWith('/') || at < 1) throw new UsageError(`${flag} is ${value}: write ${flag} ${example}.`)
  return [value.slice(0, at), value.slice(at + 1)]
}

function numberOf(value: string, flag: string): number {
  const number = Number(value)
  if (value.trim() === '' || !Number.isFinite(number) || number < 0)
    throw new UsageError(`${flag} is ${value}: write a number from 0.`)
  return number
}

/** True if a flag asks for the authorization server. */
export function wantsIssuer(values: IssuerValues): boolean {
  return Object.keys(ISSUER_FLAGS).some((name) => values[name] !== undefined && values[name] !== false)
}

/**
 * Starts the authorization server that the flags describe, and says what to configure.
 *
 * @throws {UsageError} without `--test-deployment`, or for a value that cannot be read
 */
export async function startIssuer(values: IssuerValues, url: URL, terminal: Terminal): Promise<RunningIssuer> {
  if (values['test-deployment'] !== true)
    throw new UsageError(
      'The API must trust an issuer whose tokens anybody may make. Add --test-deployment if it is a test deployment without data of real users.'
    )
  const text = (name: string): string | undefined => values[name] as string | undefined
  const port = text('port')
  const number = port === undefined ? DEFAULT_PORT : numberOf(port, '--port')
  if (!Number.isInteger(number) || number > 65_534) throw new UsageError(`--port is ${port}: write 0 to 65534.`)
  const { tls, 'tls-key': key } = { tls: text('tls'), 'tls-key': text('tls-key') }
  if ((tls === undefined) !== (key === undefined)) throw new UsageError('--tls and --tls-key need each other.')
  const [host, issuer, scope] = [text('host'), text('issuer'), text('scope')]
  if (text('audience') === '') throw new UsageError('--audience is an empty text: write the identifier of the API.')
  const running = await startSuiteIssuer({
    port: number,
    audience: text('audience') ?? url.origin + url.pathname,
    ...(host !== undefined && { host }),
    ...(issuer !== undefined && { issuer }),
    ...(scope !== undefined && { scope }),
    ...(tls !== undefined && {
      tls: {
        cert: await readGivenFile(tls, '--tls', terminal),
        key: await readGivenFile(key as string, '--tls-key', terminal)
      }
    })
  })
  terminal.err(
    `The issuer of the suite is ${running.url} (a second one is ${running.second?.url}). Let the API trust it for the audience ${running.audience}.\n`
  )
  return running
}

/** Said at the end of each run with the authorization server. */
export function farewell({ url }: RunningIssuer): string {
  return `Remove the issuer ${url} from the configuration of the API now.\n`
}
