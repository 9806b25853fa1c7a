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
import { heading, mark, paint, print, redact, tableHead, tableRow } from './print.mjs'
import { createResources, RESOURCES } from './resources.mjs'
import { getTokens } from './tokens.mjs'
import { tell, walk } from './walk.mjs'

const HELP = `Usage: npm start -- [options]

Starts an authorization server and one API in Express, Koa and Fastify, gets
tokens, sends 36 requests to each API, and shows which ones are accepted. Then
the servers and a playground for your browser stay up until Ctrl-C.

  --verbose      show every request, its answer and the reason for it
  --once         end after the requests. The exit code is 0 if every answer was
                 as expected, else 1
  --port <n>     ports n to n + 5 for the six servers; default: any free ones
  --help         show this text`

/** @type {(() => Promise<void>)[]} */
const closers = []
const closeAll = async () => {
  for (const close of closers.splice(0)) await close()
}

function readArguments() {
  const { values } = parseArgs({
    options: {
      once: { type: 'boolean', default: false },
      verbose: { type: 'boolean', default: false },
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

/** The exchange that is shown in full without `--verbose`: a good token, a precise refusal, and its challenge. */
const SHOWN = 'Scope that is not enough'

/**
 * @param {Awaited<ReturnType<typeof startEverything>>} world
 * @param {boolean} verbose
 * @returns {Promise<boolean>} whether every answer was as expected
 */
async function run({ as, apis, clock, client }, verbose) {
  print(paint('bold', 'oauth-resource-server: one API in three frameworks, and its authorization server'))
  print()
  print(`  ${'oidc-provider'.padEnd(16)}${as.issuer}`)
  for (const { name, origin } of apis) print(`  ${name.padEnd(16)}${origin}`)

  const tokens = await getTokens(client)
  if (verbose) showTokens(tokens)
  const world = { as, client, apis, clock, tokens }
  const groups = [...createCases(world), ...createChanges(world)]
  const names = apis.map(({ name }) => name)
  print()
  if (!verbose) tableHead(names)
  const steps = await walk(apis, groups, verbose ? createTeller() : showRow)
  if (verbose) {
    heading('All requests')
    tableHead(names)
    for (const step of steps) showRow(step)
  } else showSome(steps)
  const all = steps.flatMap(({ outcomes }) => outcomes)
  const good = all.filter(isExpected).length
  print(`\n${mark(good === all.length)} ${good} of ${all.length} answers were as expected`)
  clock.ahead = 0
  return good === all.length
}

/** @param {import('./walk.mjs').Outcome} outcome */
function isExpected({ problem }) {
  return problem === undefined
}

/** @param {import('./walk.mjs').Step} step */
function showRow({ number, case: { title }, outcomes }) {
  const answers = outcomes.map((outcome) => ({ status: outcome.answer.status, isGood: isExpected(outcome) }))
  tableRow(number, title, answers)
}

/** @returns {(step: import('./walk.mjs').Step) => void} prints each exchange, and the heading of each group */
function createTeller() {
  let last = ''
  return (step) => {
    if (step.group !== last) heading(step.group)
    last = step.group
    tell(step)
  }
}

/** Prints one exchange in full, and each one with an unexpected answer. @param {import('./walk.mjs').Step[]} steps */
function showSome(steps) {
  for (const step of steps) {
    if (step.case.title === SHOWN || !step.outcomes.every(isExpected)) tell(step)
  }
  print(paint('dim', '\nnpm start -- --verbose shows all of them like this.'))
}

/** @param {Awaited<ReturnType<typeof getTokens>>} tokens */
function showTokens(tokens) {
  heading('Access tokens from the token endpoint; only their first characters are shown')
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
  print('\nEach request goes to all three APIs. One answer is shown. The other two must be')
  print('the same, except for their own address. Long challenges are wrapped.')
}

/**
 * @param {Awaited<ReturnType<typeof startEverything>>} world
 * @param {number} port of the first server for people; 0: any free ones
 */
async function invite({ apis, client }, port) {
  const server = await startServer({ port })
  closers.unshift(server.close)
  const playground = await startPlayground({ port: port && port + 1, url: `${server.origin}/v2/messages` })
  closers.unshift(playground.close)
  const [{ origin }] = /** @type {[import('./apis.mjs').RunningApi]} */ (apis)
  const read = await client.clientCredentials(RESOURCES.EdDSA, 'orders:read')
  const write = await client.clientCredentials(RESOURCES.opaque, 'orders:read orders:write')
  print('\nOpen the playground in a browser:')
  print(`  ${paint('bold', playground.url)}`)
  print('Or paste this into another terminal. The tokens are valid for an hour.\n')
  print(assignment('READ', read))
  print(assignment('WRITE', write))
  print(`curl -i ${origin}/orders`)
  print(`curl -i ${origin}/orders -H "Authorization: Bearer $READ"`)
  print(`curl -iX POST ${origin}/orders -H "Authorization: Bearer $READ"`)
  print(`curl -iX POST ${origin}/orders -H "Authorization: Bearer $WRITE"`)
  print(paint('dim', '\nThe servers stay up until Ctrl-C.'))
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
  const { once, verbose, port, help } = readArguments()
  if (help) {
    print(HELP)
    return
  }
  const world = await startEverything(port)
  const good = await run(world, verbose)
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
