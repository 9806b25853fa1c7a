/**
 * `oauth-resource-server issuer`: starts an authorization server for development, prints how to use it, and ends with
 * Ctrl-C.
 *
 * Tests: `test/cli/issuer.test.ts`.
 */
import { once } from 'node:events'
import process from 'node:process'
import { isLoopback } from '../../base/reach.js'
import { inLine, painter, type Terminal } from '../terminal.js'
import { loadOidcProvider } from './provider.js'
import { type RunningIssuer, startIssuer } from './server.js'
import { hostInUrl, type IssuerSettings, readSettings } from './settings.js'

/** @returns the exit code: 0 after Ctrl-C, 1 if it could not start @throws {UsageError} wrong arguments */
export async function issuer(args: readonly string[], terminal: Terminal): Promise<number> {
  const settings = readSettings(args)
  if (process.env['NODE_ENV'] === 'production') {
    terminal.err('issuer does not start with NODE_ENV=production: it gives tokens to anyone who can reach it.\n')
    return 1
  }
  const module = await loadOidcProvider(process.cwd())
  const failed = (error: unknown): void => terminal.err(`${inLine(String((error as Error)?.stack ?? error))}\n`)
  let running: RunningIssuer
  try {
    running = await startIssuer(settings, module, failed)
  } catch (error) {
    terminal.err(`${describe(error, settings)}\n`)
    return 1
  }
  // Before the text, so that a program that waits for it may end this process at once.
  const ended = end()
  terminal.out(instructions(running, settings, module !== undefined, terminal))
  await ended
  await running.close()
  return 0
}

/** Resolves at Ctrl-C, or if the output has no reader: the secrets are printed nowhere else. */
async function end(): Promise<void> {
  const done = new AbortController()
  const options = { signal: done.signal }
  await Promise.race([
    once(process, 'SIGINT', options),
    once(process, 'SIGTERM', options),
    once(process.stdout, 'error', options)
  ])
  done.abort()
}

/** @throws the error itself, if it is not about the address */
function describe(error: unknown, { host, port }: IssuerSettings): string {
  const { code } = error as NodeJS.ErrnoException
  switch (code) {
    case 'EADDRINUSE':
      return `Port ${port} of ${host} is taken: end the program that listens there, or give another: --port ${port < 65_535 ? port + 1 : port - 1}`
    case 'EACCES':
      return `This user may not listen on port ${port}: give one above 1023, as --port 4010`
    case 'EADDRNOTAVAIL':
    case 'ENOTFOUND':
    case 'EAI_AGAIN':
      return `This machine has no address ${JSON.stringify(host)}: give --host one of its own names or addresses, or leave it out`
    default:
      throw error
  }
}

/** The printed text: the secrets are in it once. */
export function instructions(
  { issuer: identifier, client, api }: Omit<RunningIssuer, 'close'>,
  settings: IssuerSettings,
  hasBrowser: boolean,
  terminal: Terminal
): string {
  const { resources, scopes, user, opaque } = settings
  const [resource = '', ...more] = resources
  const url = new URL(identifier)
  const isLocal = isLoopback(url)
  const isPrivate = isLoopback(new URL(`http://${hostInUrl(settings.host)}`))
  const reached = settings.issuer === undefined ? url.host : 'this machine'
  const paint = painter(terminal)
  const variables = {
    OAUTH_RS_RESOURCE: resource,
    OAUTH_RS_ISSUER: identifier,
    OAUTH_RS_CLIENT_ID: api.clientId,
    OAUTH_RS_CLIENT_SECRET: api.clientSecret,
    ...(opaque && { OAUTH_RS_TOKENS: 'opaque' }),
    ...(!isLocal && { OAUTH_RS_INSECURE_HOSTS: url.host })
  }
  const parameters = { grant_type: 'client_credentials', resource, scope: scopes.join(' ') }
  const fields = Object.entries(parameters)
    .filter(([, value]) => value !== '')
    .map(([name, value]) => `--data-urlencode ${quote(`${name}=${value}`)}`)
  const lines = [
    `${paint('bold', 'Authorization server for development')}  ${identifier}`,
    ...(isPrivate ? [] : [paint('yellow', `Anyone who can reach ${reached} gets tokens for your API.`)]),
    '',
    'Start your API with these variables, as fromEnv(process.env) reads them:',
    '',
    ...Object.entries(variables).map(([name, value]) => `export ${name}=${quote(value)}`),
    ...more.map((one) => `# or: export OAUTH_RS_RESOURCE=${quote(one)}`),
    ...(opaque || !isLocal
      ? []
      : [
          `# or in code: resourceServer({ resource: ${JSON.stringify(resource)}, issuers: [${JSON.stringify(identifier)}] })`
        ]),
    '',
    'Get a token, valid for an hour, and call your API with it (add the path of a route):',
    '',
    `TOKEN=$(curl -s ${quote(`${identifier}/token`)} -u ${client.clientId}:${client.clientSecret} \\`,
    `  ${fields.join(' \\\n  ')} |`,
    `  node -pe 'JSON.parse(fs.readFileSync(0)).access_token')`,
    `curl -i ${quote(resource)} -H "Authorization: Bearer $TOKEN"`,
    '',
    hasBrowser
      ? `Clients register at ${identifier}/register, and ${inLine(user)} gives consent in the browser.`
      : 'Registration, consent in a browser, PKCE and refresh tokens need: npm i -D oidc-provider',
    'The keys and secrets are new at each start. Ctrl-C ends it.'
  ]
  return `${lines.join('\n')}\n`
}

/** A text as one word of a POSIX shell. */
function quote(text: string): string {
  return /^[\w.:/@%+=,-]+$/.test(text) ? text : `'${text.replaceAll("'", `'\\''`)}'`
}
