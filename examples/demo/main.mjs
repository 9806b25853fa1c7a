// @ts-check
/**
 * The demo: an authorization server, one API in three frameworks, real tokens, good and bad requests.
 * `npm start`, or `npm start -- --once` to end with the exit code 0 (all as it must be) or 1.
 */
import { parseArgs } from 'node:util'
import { startServer } from '../authorization-server/server.mjs'
import { startPlayground } from '../playground/server.mjs'
import { startApis } from './apis.mjs'
import { API, SERVICE, startAuthorizationServer } from './authorization-server.mjs'
import { createCases } from './cases.mjs'
import { createChanges } from './changes.mjs'
import { createOAuthClient } from './oauth-client.mjs'
import { heading, mark, paint, print, redact, table } from './print.mjs'
import { createResources, RESOURCES } from './resources.mjs'
import { getTokens } from './tokens.mjs'
import { walk } from './walk.mjs'

const HELP = `Usage: npm start -- [options]

Starts an authorization server and one API in Express, Koa and Fastify, gets
tokens, and shows which requests are let in, which are not, and why.

  --once         end after the walk: exit code 0 if all went as it must, else 1
  --port <n>     ports n to n + 5 for the six servers; default: any free ones
  --help         this`

/** @type {(() => Promise<void>)[]} */
const closers = []
const closeAll = async () => {
  for (const close of closers.splice(0)) await close()
}

function readArguments() {
  const { values } = parseArgs({
    options: {
      once: { type: 'boolean', default: false },
      port: { type: 'string', default: '0' },
      help: { type: 'boolean', default: false }
    }
  })
  const port = Number(values.port)
  // Six in a row: the last one must be a port, too.
  if (!/^\d+$/.test(values.port) || port > 65_530) {
    throw Object.assign(new Error(`--port ${values.port}: not a port from 1 to 65530`), { code: 'ERR_PARSE_ARGS' })
  }
  return { ...values, port }
}

/** @param {number} port */
async function startEverything(port) {
  const as = await startAuthorizationServer({ port, resources: createResources() })
  closers.push(as.close)
  const clock = { ahead: 0 }
  const now = () => Date.now() / 1000 + clock.ahead
  const audience = Object.values(RESOURCES)
  const apis = await startApis({ issuer: as.issuer, client: API, audience, now, port: port && port + 1 })
  for (const { origin, close } of apis) {
    closers.unshift(close)
    // What a client reads in an API's metadata, it can ask a token for.
    as.resources.set(origin, { scopes: ['orders:read', 'orders:write'] })
  }
  return { as, apis, clock, client: await createOAuthClient(as.issuer, SERVICE) }
}

/** @param {Awaited<ReturnType<typeof startEverything>>} world */
async function run({ as, apis, clock, client }) {
  print(paint('bold', 'oauth-resource-server: one API in three frameworks, and its authorization server'))
  print()
  print(`  ${'oidc-provider'.padEnd(16)}${as.issuer}`)
  for (const { name, origin } of apis) print(`  ${name.padEnd(16)}${origin}`)

  heading('Tokens, fetched over HTTP; only their first characters are shown')
  const tokens = await getTokens(client)
  const kinds = [
    ['client credentials', 'JWT, RS256', tokens.RS256],
    ['', 'JWT, PS256', tokens.PS256],
    ['', 'JWT, ES256', tokens.ES256],
    ['', 'JWT, EdDSA', tokens.EdDSA],
    ['', 'opaque', tokens.opaque],
    ['', 'DPoP-bound JWT', tokens.dpop.token],
    ['code and PKCE', 'JWT, ES256', tokens.alice.accessToken],
    ['', 'opaque', tokens.aliceOpaque.accessToken],
    ['', 'ID token', tokens.alice.idToken]
  ]
  for (const [how = '', what = '', token = ''] of kinds) {
    print(`  ${how.padEnd(22)}${what.padEnd(16)}${paint('dim', redact(token))}`)
  }

  print('\nEach request goes to all three. One answer is shown; the others are compared to')
  print('it, and may differ in their own address only. Challenges are wrapped to fit.')
  const world = { as, client, apis, clock, tokens }
  const rows = await walk(apis, [...createCases(world), ...createChanges(world)])

  heading('All of it')
  const names = apis.map(({ name }) => name)
  table(names, rows)
  const all = rows.flatMap(({ results }) => results)
  const good = all.filter(Boolean).length
  print(`\n${mark(good === all.length)} ${good} of ${all.length} answers as they must be`)
  clock.ahead = 0
  return good === all.length
}

/**
 * @param {Awaited<ReturnType<typeof startEverything>>} world
 * @param {number} port of the servers that are for people only; 0: any free ones
 */
async function invite({ as, apis, client }, port) {
  const server = await startServer({ port })
  closers.unshift(server.close)
  const playground = await startPlayground({ port: port && port + 1, api: server.origin })
  closers.unshift(playground.close)
  heading('Your turn: the servers stay up until Ctrl-C')
  print('Paste the tokens, valid for an hour: $READ is a JWT for reading, $WRITE')
  print('is opaque and good for both. Then try any of the requests.\n')
  print(assignment('READ', await client.clientCredentials(RESOURCES.EdDSA, 'orders:read')))
  print(assignment('WRITE', await client.clientCredentials(RESOURCES.opaque, 'orders:read orders:write')))
  for (const { name, origin } of apis) {
    print(`\n${paint('dim', name)}`)
    print(`curl -i ${origin}/orders`)
    print(`curl -i ${origin}/orders -H "Authorization: Bearer $READ"`)
    print(`curl -iX POST ${origin}/orders -H "Authorization: Bearer $READ"`)
    print(`curl -iX POST ${origin}/orders -H "Authorization: Bearer $WRITE"`)
    print(`curl ${origin}/.well-known/oauth-protected-resource`)
  }
  print(`\n${paint('dim', 'authorization server')}`)
  print(`curl ${as.issuer}/.well-known/oauth-authorization-server`)
  print('\nOr open the playground in a browser: every step to a token, what the API checks,')
  print('and what it answers to a token that is expired, stolen, revoked …\n')
  print(`  ${paint('bold', playground.url)}`)
}

/**
 * A shell assignment, continued over lines that a terminal has no need to break.
 * @param {string} name
 * @param {string} value
 */
function assignment(name, value) {
  const lines = `${name}="${value}"`.match(/.{1,78}/g) ?? []
  return lines.join('\\\n')
}

async function main() {
  const { once, port, help } = readArguments()
  if (help) {
    print(HELP)
    return
  }
  const world = await startEverything(port)
  const good = await run(world)
  process.exitCode = good ? 0 : 1
  if (once) await closeAll()
  else await invite(world, port && port + 4)
}

let interrupted = false
for (const signal of /** @type {const} */ (['SIGINT', 'SIGTERM'])) {
  process.once(signal, () => {
    interrupted = true
    print(`\n${signal}: closing`)
    // 130 is what shells use for an interrupted command; after the walk, its own result counts.
    void closeAll().finally(() => process.exit(process.exitCode ?? 130))
  })
}

try {
  await main()
} catch (error) {
  // What was interrupted fails, which is no news.
  if (!interrupted) {
    process.exitCode = 1
    const { code = '', message } = /** @type {NodeJS.ErrnoException} */ (error)
    console.error(/^(ERR_PARSE_ARGS|EADDRINUSE)/.test(code) ? message : error)
    await closeAll()
  }
}
