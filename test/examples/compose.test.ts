/**
 * examples/compose/compose.yaml without Docker: its two services as processes of one network, which they share there too. Docker
 * forwards a published port to an address of the container that is not its loopback, so both must listen on that. Needs
 * `npm run build`.
 */
import { execFile, spawn } from 'node:child_process'
import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { networkInterfaces } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { request } from 'undici'
import { afterAll, expect, test } from 'vitest'
import { parse } from 'yaml'
import { freePort } from '../support/ports.mjs'

const ROOT = fileURLToPath(new URL('../..', import.meta.url))
/** What the containers find in their folder. */
const PROGRAMS: Readonly<Record<string, string>> = {
  'node server.mjs': 'examples/express.mjs',
  'npx oauth-resource-server': 'dist/src/cli/main.js'
}

interface Service {
  readonly command: string
  readonly environment?: Readonly<Record<string, string>>
  readonly ports?: readonly string[]
  readonly network_mode?: string
}

const closing: (() => unknown)[] = []
afterAll(async () => {
  for (const close of closing) await close()
})

/** Starts a service's command, and waits until it says that it listens. @returns what it printed */
async function start({ command, environment }: Service, started: string): Promise<string> {
  const [begin = ''] = Object.keys(PROGRAMS).filter((one) => command.startsWith(one))
  const args = command.slice(begin.length).trim().split(/\s+/).filter(Boolean)
  const child = spawn(process.execPath, [join(ROOT, PROGRAMS[begin] ?? ''), ...args], {
    cwd: ROOT,
    env: { PATH: process.env.PATH, NODE_NO_WARNINGS: '1', ...environment },
    stdio: ['ignore', 'pipe', 'pipe']
  })
  closing.push(async () => {
    if (child.exitCode === null && child.kill('SIGKILL')) await once(child, 'exit')
  })
  let [printed, failed] = ['', '']
  child.stderr.on('data', (chunk) => {
    failed += String(chunk)
  })
  await new Promise<void>((resolve, reject) => {
    child.stdout.on('data', (chunk) => {
      printed += String(chunk)
      if (printed.includes(started)) resolve()
    })
    child.once('exit', (code) => reject(new Error(`${command} ended with ${code}: ${failed}`)))
  })
  return printed
}

test('the services of compose.yaml answer on published ports, and the printed command gets a token that is accepted', async () => {
  const [api, issuer] = [await freePort(), await freePort()]
  const yaml = readFileSync(join(ROOT, 'examples/compose/compose.yaml'), 'utf8')
  const ours = yaml.replaceAll('4010', String(issuer)).replaceAll('3000', String(api))
  const { services } = parse(ours) as { services: Readonly<Record<'api' | 'issuer', Service>> }
  expect(services.issuer.network_mode).toBe('service:api')
  expect(services.api.ports).toEqual([`127.0.0.1:${api}:${api}`, `127.0.0.1:${issuer}:${issuer}`])

  const withPort = { ...services.issuer, command: `${services.issuer.command} --port ${issuer}` }
  const printed = await start(withPort, 'Ctrl-C ends it.')
  await start(services.api, 'Express: ')
  const [, command = ''] = /^TOKEN=\$\(([\s\S]*?)\)\n(?=curl)/m.exec(printed) ?? []
  const { stdout } = await promisify(execFile)('sh', ['-c', command])
  const ask = (headers: Readonly<Record<string, string>>): Promise<number> =>
    request(`http://localhost:${api}/orders`, { headers }).then(({ statusCode }) => statusCode)
  expect(await ask({})).toBe(401)
  expect(await ask({ authorization: `Bearer ${stdout.trim()}` })).toBe(200)

  const outside = Object.values(networkInterfaces())
    .flatMap((all) => all ?? [])
    .filter(({ internal, family }) => !internal && family === 'IPv4')
  for (const { address } of outside.slice(0, 1))
    for (const [port, path] of [
      [api, '/.well-known/oauth-protected-resource'],
      [issuer, '/.well-known/oauth-authorization-server']
    ] as const) {
      const { statusCode } = await request(`http://${address}:${port}${path}`, {
        headers: { host: `localhost:${port}` }
      })
      expect({ port, statusCode }).toEqual({ port, statusCode: 200 })
    }
})
