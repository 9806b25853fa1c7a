/** LemonLDAP::NG's portal as an OpenID Connect provider: two clients, each for another API, and the API as a client. */
import { generateKeyPairSync, randomUUID } from 'node:crypto'
import { mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { freePort } from '../../../support/ports.mjs'
import { basic, createFolder, post, run } from '../process.mjs'

const SECRET = 'the-secret-of-the-client'
const read = (/** @type {string} */ name) => readFileSync(new URL(name, import.meta.url), 'utf8')

export async function start() {
  const folder = createFolder('lemonldap-ng')
  const port = await freePort()
  const issuer = `http://localhost:${port}`
  for (const name of ['conf', 'cache', 'sessions', 'sessions/lock', 'psessions', 'psessions/lock'])
    mkdirSync(join(folder, name))
  writeFileSync(join(folder, 'lemonldap-ng.ini'), read('lemonldap-ng.ini').replaceAll('FOLDER', folder))

  const { privateKey, publicKey } = generateKeyPairSync('rsa', { modulusLength: 2048 })
  const files = (/** @type {string} */ name) => ({
    Directory: join(folder, name),
    LockDirectory: join(folder, name, 'lock'),
    generateModule: 'Lemonldap::NG::Common::Apache::Session::Generate::SHA256'
  })
  const configuration = JSON.parse(read('configuration.json'))
  for (const client of Object.values(configuration.oidcRPMetaDataOptions))
    client.oidcRPMetaDataOptionsClientSecret = SECRET
  Object.assign(configuration, {
    portal: `${issuer}/`,
    globalStorageOptions: files('sessions'),
    persistentStorage: 'Apache::Session::File',
    persistentStorageOptions: files('psessions'),
    localSessionStorage: 'Cache::FileCache',
    localSessionStorageOptions: { namespace: 'sessions', cache_root: join(folder, 'cache'), cache_depth: 1 },
    oidcServiceMetaDataIssuer: issuer,
    oidcServicePrivateKeySig: privateKey.export({ type: 'pkcs8', format: 'pem' }),
    oidcServicePublicKeySig: publicKey.export({ type: 'spki', format: 'pem' }),
    oidcServiceKeyIdSig: randomUUID()
  })
  writeFileSync(join(folder, 'conf/lmConf-1.json'), JSON.stringify(configuration))

  const { close } = await run({
    command: 'plackup',
    args: ['--host', '127.0.0.1', '--port', `${port}`, fileURLToPath(new URL('portal.psgi', import.meta.url))],
    folder,
    url: `${issuer}/.well-known/openid-configuration`,
    env: { LLNG_DEFAULTCONFFILE: join(folder, 'lemonldap-ng.ini') }
  })
  const tokenFor = async (/** @type {string} */ client) => {
    const form = { grant_type: 'client_credentials', scope: 'orders:read' }
    return (await post(`${issuer}/oauth2/token`, form, { authorization: basic(client, SECRET) })).access_token
  }
  return {
    issuer,
    clientSecret: SECRET,
    token: () => tokenFor('service'),
    otherToken: () => tokenFor('other'),
    /** As an administrator ends the session of a token. */
    revoke: async (/** @type {string} */ token) => {
      const { jti } = JSON.parse(Buffer.from(String(token.split('.')[1]), 'base64url').toString())
      rmSync(join(folder, 'sessions', jti))
      rmSync(join(folder, 'cache'), { recursive: true })
    },
    close
  }
}
