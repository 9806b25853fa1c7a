/** cognito-local, its own program in a folder of its own, with one pool, one user and two app clients. */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { freePort } from '../../../test/support/ports.mjs'

const PROGRAM = fileURLToPath(new URL('../node_modules/cognito-local/lib/bin/start.js', import.meta.url))

export async function start() {
  const port = await freePort()
  const origin = `http://localhost:${port}`
  const folder = mkdtempSync(join(tmpdir(), 'cognito-local-'))
  mkdirSync(join(folder, '.cognito'))
  const config = {
    TokenConfig: { IssuerDomain: origin },
    ServerConfig: { port, hostname: 'localhost' },
    UserPoolDefaults: { UsernameAttributes: [] }
  }
  writeFileSync(join(folder, '.cognito/config.json'), JSON.stringify(config))
  const child = spawn(process.execPath, [PROGRAM], { cwd: folder, stdio: 'ignore' })
  const ended = once(child, 'exit')
  while (!(await fetch(`${origin}/health`).catch(() => undefined))) {
    if (child.exitCode !== null) throw new Error(`cognito-local ended with ${child.exitCode}`)
    await sleep(50)
  }

  const call = async (action, fields) => {
    const response = await fetch(origin, {
      method: 'POST',
      headers: {
        'content-type': 'application/x-amz-json-1.1',
        'x-amz-target': `AWSCognitoIdentityProviderService.${action}`
      },
      body: JSON.stringify(fields)
    })
    const answer = await response.json()
    if (!response.ok) throw new Error(`${action}: ${JSON.stringify(answer)}`)
    return answer
  }
  const { UserPool } = await call('CreateUserPool', { PoolName: 'test' })
  const pool = { UserPoolId: UserPool.Id }
  const createClient = async (ClientName) =>
    (await call('CreateUserPoolClient', { ...pool, ClientName })).UserPoolClient.ClientId
  const clientId = await createClient('web')
  const otherClientId = await createClient('other')
  const user = { Username: 'alice', Password: 'a Password 1' }
  await call('AdminCreateUser', { ...pool, Username: user.Username, MessageAction: 'SUPPRESS' })
  await call('AdminSetUserPassword', { ...pool, ...user, Permanent: true })
  const signIn = async (ClientId) =>
    (
      await call('AdminInitiateAuth', {
        ...pool,
        ClientId,
        AuthFlow: 'ADMIN_USER_PASSWORD_AUTH',
        AuthParameters: { USERNAME: user.Username, PASSWORD: user.Password }
      })
    ).AuthenticationResult
  return {
    issuer: `${origin}/${UserPool.Id}`,
    values: { '1example23456789': clientId },
    token: async () => (await signIn(clientId)).AccessToken,
    otherToken: async () => (await signIn(otherClientId)).AccessToken,
    idToken: async () => (await signIn(clientId)).IdToken,
    close: async () => {
      child.kill('SIGKILL')
      await ended
      rmSync(folder, { recursive: true, force: true })
    }
  }
}
