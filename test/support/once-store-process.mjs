// @ts-check
/**
 * One process of an API that runs as several: they share a folder, in which a file that is created exclusively is an
 * entry of the replay store, and a secret for nonces. Nothing else. Its first line of output is its origin.
 */
import { writeFile } from 'node:fs/promises'
import { createServer } from 'node:http'
import { join } from 'node:path'
import { resourceServer } from 'oauth-resource-server'
import { errorHandler, getAuth, protect } from 'oauth-resource-server/express'

const { FOLDER = '', ISSUER = '', RESOURCE = '', SECRET } = process.env

/** @type {import('oauth-resource-server').OnceStore} */
const replayStore = {
  add: async (key) => {
    try {
      await writeFile(join(FOLDER, key), '', { flag: 'wx' })
      return true
    } catch (error) {
      if (/** @type {NodeJS.ErrnoException} */ (error).code === 'EEXIST') return false
      throw error
    }
  }
}

const api = resourceServer({
  log: false,
  resource: RESOURCE,
  issuers: [ISSUER],
  requireSenderConstrained: 'dpop',
  dpop: { replayStore, ...(SECRET && { nonces: 'required', nonceSecret: SECRET }) }
})
const guard = protect(api)
const answerError = errorHandler()

const server = createServer((request, response) => {
  const fail = (/** @type {unknown} */ error) => {
    response.statusCode = 500
    response.end(String(error))
  }
  guard(request, response, (error) => {
    if (error) answerError(error, request, response, fail)
    else response.end(getAuth(request).subject)
  })
})
server.listen(0, '127.0.0.1', () => {
  const { port } = /** @type {import('node:net').AddressInfo} */ (server.address())
  console.log(`http://127.0.0.1:${port}`)
})
