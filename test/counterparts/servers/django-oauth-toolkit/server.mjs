/** django-oauth-toolkit on Django's own server: a client that acts for itself, and the API as a client. */
import { execFileSync } from 'node:child_process'
import { generateKeyPairSync } from 'node:crypto'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { freePort } from '../../../support/ports.mjs'
import { basic, createFolder, post, run } from '../process.mjs'

const SECRET = 'the-secret-of-the-client'
// Debian's own Python has Debian's packages.
const PYTHON = '/usr/bin/python3'

export async function start() {
  const folder = createFolder('django-oauth-toolkit')
  const port = await freePort()
  const { privateKey } = generateKeyPairSync('rsa', { modulusLength: 2048 })
  writeFileSync(join(folder, 'key.pem'), privateKey.export({ type: 'pkcs8', format: 'pem' }))
  const env = {
    FOLDER: folder,
    PYTHONPATH: fileURLToPath(new URL('.', import.meta.url)),
    PYTHONDONTWRITEBYTECODE: '1',
    DJANGO_SETTINGS_MODULE: 'settings'
  }
  const manage = (/** @type {string[]} */ ...args) =>
    execFileSync(PYTHON, ['-m', 'django', ...args], { env: { ...process.env, ...env }, stdio: 'pipe' })
  manage('migrate', '--verbosity=0')
  for (const id of ['service', 'api'])
    manage('createapplication', 'confidential', 'client-credentials', `--client-id=${id}`, `--client-secret=${SECRET}`)

  const issuer = `http://localhost:${port}/o`
  const args = ['-m', 'django', 'runserver', '--noreload', `127.0.0.1:${port}`]
  const { close } = await run({ command: PYTHON, args, folder, url: issuer, env })
  const headers = { authorization: basic('service', SECRET) }
  return {
    issuer,
    clientSecret: SECRET,
    token: async () =>
      (await post(`${issuer}/token/`, { grant_type: 'client_credentials', scope: 'orders:read' }, headers))
        .access_token,
    revoke: (/** @type {string} */ token) => post(`${issuer}/revoke_token/`, { token }, headers),
    close
  }
}
