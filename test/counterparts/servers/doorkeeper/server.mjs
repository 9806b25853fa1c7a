/** Doorkeeper in a Rails application: see config.ru. */
import { fileURLToPath } from 'node:url'
import { freePort } from '../../../support/ports.mjs'
import { basic, createFolder, post, run } from '../process.mjs'

const SECRET = 'the-secret-of-the-client'

export async function start() {
  const folder = createFolder('doorkeeper')
  const port = await freePort()
  const issuer = `http://localhost:${port}`
  const { close } = await run({
    command: 'puma',
    args: ['--bind', `tcp://127.0.0.1:${port}`, fileURLToPath(new URL('config.ru', import.meta.url))],
    folder,
    url: issuer,
    env: { FOLDER: folder, SECRET, RAILS_ENV: 'production' }
  })
  const headers = { authorization: basic('service', SECRET) }
  const tokenFor = async (/** @type {string} */ scope) =>
    (await post(`${issuer}/oauth/token`, { grant_type: 'client_credentials', scope }, headers)).access_token
  return {
    issuer,
    clientSecret: SECRET,
    token: () => tokenFor('orders:read'),
    otherToken: () => tokenFor('invoices:read'),
    revoke: (/** @type {string} */ token) => post(`${issuer}/oauth/revoke`, { token }, headers),
    close
  }
}
