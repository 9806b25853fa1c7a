// @ts-check
/** `node examples/authorization-server/main.mjs`: the server, and the playground that shows what it does. */
import { parseArgs } from 'node:util'
import { startPlayground } from '../playground/server.mjs'
import { startServer } from './server.mjs'

const HELP = `Usage: node examples/authorization-server/main.mjs [options]

Starts an authorization server with the shape of the Telnyx OAuth API, an API
that its tokens are for, and a page that walks through all of it.

  --port <n>           of the server; the page is on the next one. Default: 4010
  --database <file>    where clients, grants and keys are kept.
                       Default: authorization-server.sqlite
  --memory             keep nothing
  --resource <URL>     your API: tokens are for it, too. Repeat it for several
  --scope <scope>      a scope of your API. Repeat it for several
  --opaque             access tokens are opaque, not JWTs
  --help               this

The API key is read from API_KEY; without it one is made at the first start.`

const { values } = parseArgs({
  options: {
    port: { type: 'string', default: '4010' },
    database: { type: 'string', default: 'authorization-server.sqlite' },
    memory: { type: 'boolean', default: false },
    resource: { type: 'string', multiple: true, default: [] },
    scope: { type: 'string', multiple: true, default: [] },
    opaque: { type: 'boolean', default: false },
    help: { type: 'boolean', default: false }
  }
})

const problem = problemOf(values.resource, values.scope)
if (values.help) console.log(HELP)
else if (problem !== undefined) {
  console.error(problem)
  process.exitCode = 2
} else await run()

/** @param {string[]} resources @param {string[]} scopes */
function problemOf(resources, scopes) {
  const resource = resources.find((one) => !/^https?:\/\/[^#\s]+$/.test(one) || !URL.canParse(one))
  if (resource !== undefined)
    return `--resource ${JSON.stringify(resource)} is not an http(s) URL without a fragment: write --resource http://localhost:3000`
  const scope = scopes.find((one) => !/^[\x21\x23-\x5B\x5D-\x7E]+$/.test(one))
  return scope === undefined
    ? undefined
    : `--scope ${JSON.stringify(scope)} is not one scope: repeat --scope for several`
}

async function run() {
  const port = Number(values.port)
  const server = await startServer({
    port,
    database: values.memory ? ':memory:' : values.database,
    apiKey: process.env['API_KEY'] || undefined,
    resources: values.resource,
    scopes: values.scope,
    accessTokens: values.opaque ? 'opaque' : 'jwt'
  })
  const playground = await startPlayground({ port: port && port + 1, url: `${server.origin}/v2/messages` })
  console.log(`playground            ${playground.url}
API, and its issuer   ${server.origin}
for the Telnyx SDK    new Telnyx({ baseURL: '${server.base}', apiKey: '${server.apiKey}' })

curl -i ${server.origin}/v2/messages
curl ${server.base}/oauth_clients -H 'Authorization: Bearer ${server.apiKey}'`)
  for (const signal of /** @type {const} */ (['SIGINT', 'SIGTERM'])) {
    process.once(signal, () => void Promise.all([playground.close(), server.close()]))
  }
}
