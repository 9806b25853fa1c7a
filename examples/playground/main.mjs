// @ts-check
/** `node examples/playground/main.mjs [URL]`: the playground for any protected API. */
import { parseArgs } from 'node:util'
import { startPlayground } from './server.mjs'

const HELP = `Usage: node examples/playground/main.mjs [options] [URL]

Serves a page that gets an access token for the protected URL, calls the API
with it, and breaks it in several ways.

  --port <n>   port of the page. Default: 4020
  --help       show this text`

try {
  const { values, positionals } = parseArgs({
    options: { port: { type: 'string', default: '4020' }, help: { type: 'boolean', default: false } },
    allowPositionals: true
  })
  if (values.help) console.log(HELP)
  else await run(values.port, positionals)
} catch (error) {
  const { code = '', message } = /** @type {NodeJS.ErrnoException} */ (error)
  if (!code.startsWith('ERR_PARSE_ARGS')) throw error
  console.error(message)
  process.exitCode = 2
}

/** @param {string} port @param {string[]} positionals */
async function run(port, [url, ...others]) {
  if (!/^\d{1,5}$/.test(port) || Number(port) > 65_535) throw wrong(`--port ${port} is not a port from 0 to 65535`)
  if (others.length > 0) throw wrong('Expected one URL, and got several. Quote a URL that has spaces or &.')
  if (url !== undefined && !(URL.canParse(url) && /^https?:$/.test(new URL(url).protocol)))
    throw wrong(`${url} is not an http or https URL. Write it like http://localhost:3000/orders.`)
  try {
    const playground = await startPlayground({ port: Number(port), ...(url !== undefined && { url }) })
    console.log(`Open ${playground.url}\nCtrl-C ends it.`)
    for (const signal of /** @type {const} */ (['SIGINT', 'SIGTERM'])) {
      process.once(signal, () => void playground.close())
    }
  } catch (error) {
    if (/** @type {NodeJS.ErrnoException} */ (error).code !== 'EADDRINUSE') throw error
    throw wrong(`Port ${port} is taken. Choose another one with --port, or 0 for any free port.`)
  }
}

/** @param {string} message */
function wrong(message) {
  return Object.assign(new Error(message), { code: 'ERR_PARSE_ARGS' })
}
