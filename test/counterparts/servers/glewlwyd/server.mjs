/** Glewlwyd with its OpenID Connect plugin: two scopes, each with an API as resource, a client, and the API as a client. */
import { execFileSync } from 'node:child_process'
import { generateKeyPairSync, randomUUID } from 'node:crypto'
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { gunzipSync } from 'node:zlib'
import { freePort } from '../../../support/ports.mjs'
import { basic, createFolder, post, run } from '../process.mjs'

const SCHEMA = '/usr/share/doc/glewlwyd/database/init.sqlite3.sql.gz'
const SECRET = 'the-secret-of-the-client'
const read = (/** @type {string} */ name) => readFileSync(new URL(name, import.meta.url), 'utf8')

const createKey = () => ({
  ...generateKeyPairSync('rsa', { modulusLength: 2048 }).privateKey.export({ format: 'jwk' }),
  kid: randomUUID(),
  alg: 'RS256',
  use: 'sig'
})

export async function start() {
  const folder = createFolder('glewlwyd')
  const port = await freePort()
  execFileSync('sqlite3', [join(folder, 'database')], { input: gunzipSync(readFileSync(SCHEMA)) })
  writeFileSync(
    join(folder, 'glewlwyd.conf'),
    read('glewlwyd.conf').replaceAll('PORT', `${port}`).replaceAll('FOLDER', folder)
  )
  const root = `http://localhost:${port}/api`
  const { close } = await run({ command: 'glewlwyd', args: ['--config-file=glewlwyd.conf'], folder, url: root })

  // The administrator that the schema creates.
  const login = await fetch(`${root}/auth`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ username: 'admin', password: 'password' })
  })
  const cookie = login.headers
    .getSetCookie()
    .map((line) => line.split(';')[0])
    .join('; ')
  const administer = async (/** @type {string} */ method, /** @type {string} */ path, /** @type {object} */ body) => {
    const headers = { cookie, 'content-type': 'application/json' }
    const response = await fetch(root + path, { method, headers, body: JSON.stringify(body) })
    if (!response.ok) throw new Error(`${method} ${path} answered ${response.status}: ${await response.text()}`)
  }

  const issuer = `${root}/oidc`
  let keys = [createKey()]
  const plugin = () => ({
    module: 'oidc',
    name: 'oidc',
    display_name: 'OpenID Connect',
    parameters: { ...JSON.parse(read('plugin.json')), iss: issuer, 'jwks-private': JSON.stringify({ keys }) }
  })
  const scopes = ['orders:read', 'invoices:read', 'introspect']
  for (const name of scopes) await administer('POST', '/scope/', { name, display_name: name, password_required: false })
  await administer('POST', '/mod/plugin/', plugin())
  for (const id of ['service', 'api'])
    await administer('POST', '/client/', {
      client_id: id,
      name: id,
      // A client asks about tokens of other clients if it has the plugin's introspection scope.
      scope: id === 'api' ? ['introspect'] : scopes,
      password: SECRET,
      client_secret: SECRET,
      enabled: true,
      confidential: true,
      authorization_type: ['client_credentials'],
      token_endpoint_auth_method: ['client_secret_basic']
    })

  const headers = { authorization: basic('service', SECRET) }
  const tokenFor = async (/** @type {string} */ scope, /** @type {string} */ resource) =>
    (await post(`${issuer}/token`, { grant_type: 'client_credentials', scope, resource }, headers)).access_token
  return {
    issuer,
    clientSecret: SECRET,
    token: () => tokenFor('orders:read', 'https://api.example.com'),
    otherToken: () => tokenFor('invoices:read', 'https://other.example.com'),
    revoke: (/** @type {string} */ token) => post(`${issuer}/revoke`, { token }, headers),
    /** The first key signs. */
    rotate: async () => {
      keys = [createKey(), ...keys]
      await administer('PUT', '/mod/plugin/oidc', plugin())
      await administer('PUT', '/mod/plugin/oidc/reset', {})
    },
    close
  }
}
