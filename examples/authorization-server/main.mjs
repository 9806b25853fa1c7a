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
  --opaque             access tokens are opaque, not JWTs
  --help               this

The API key is read from API_KEY; without it one is made at the first start.`

const { values } = parseArgs({
  options: {
    port: { type: 'string', default: '4010' },
    database: { type: 'string', default: 'authorization-server.sqlite' },
    memory: { type: 'boolean', default: false },
    opaque: { type: 'boolean', default: false },
    help: { type: 'boolean', default: false }
  }
})

if (values.help) console.log(HELP)
else await run()

async function run() {
  const port = Number(values.port)
  const server = await startServer({
    port,
    database: values.memory ? ':memory:' : values.database,
    apiKey: process.env['API_KEY'] || undefined,
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
