/** The ways in which the command reaches servers: directly, with a private CA, through a proxy. */
import { execFile, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { createServer, type Server } from 'node:http'
import { createServer as createTlsServer } from 'node:https'
import { type AddressInfo, connect, type Socket } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { text } from 'node:stream/consumers'
import { fileURLToPath } from 'node:url'
import { afterAll, describe, expect, test } from 'vitest'
import { createConnections } from '../../src/cli/connections.js'
import type { Terminal } from '../../src/cli/terminal.js'
import { createCertificateAuthority } from '../support/certificates.js'

const MAIN = fileURLToPath(new URL('../../dist/src/cli/main.js', import.meta.url))
const folder = mkdtempSync(join(tmpdir(), 'connections-'))
const servers: Server[] = []
afterAll(() => {
  for (const server of servers) {
    server.close()
    server.closeAllConnections()
  }
  rmSync(folder, { recursive: true })
})

interface Written {
  readonly out: string
  readonly err: string
  readonly code: number
}

async function run(args: readonly string[], env: Readonly<Record<string, string>> = {}): Promise<Written> {
  const { https_proxy: _a, HTTPS_PROXY: _b, http_proxy: _c, HTTP_PROXY: _d, ...rest } = process.env
  const child = spawn(process.execPath, [MAIN, ...args], { stdio: 'pipe', env: { ...rest, ...env } })
  child.stdin.end()
  const exited = once(child, 'close')
  const [out, err] = await Promise.all([text(child.stdout), text(child.stderr)])
  const [code] = (await exited) as [number]
  return { out, err, code }
}

async function listen<T extends Server>(server: T): Promise<number> {
  servers.push(server)
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  return (server.address() as AddressInfo).port
}

const authority = createCertificateAuthority()
const ca = join(folder, 'ca.pem')
writeFileSync(ca, authority.cert)

/** An authorization server with a certificate of the private CA, for this name. */
async function startPrivate(name: string): Promise<number> {
  const server = createTlsServer(authority.issue({ commonName: name, sans: [name] }), (request, response) => {
    const issuer = `https://${request.headers.host}`
    response.setHeader('Content-Type', 'application/json')
    response.end(
      request.url?.endsWith('/jwks')
        ? '{"keys":[{"kty":"EC","crv":"P-256","kid":"a","x":"WKn-ZIGevcwGIyyrzFoZNBdaq9_TsqzGl96oc0CWuis","y":"y77t-RvAHRKTsSGdIYUfweuOvwrvDD-Q3Hv5J0fSKbE"}]}'
        : JSON.stringify({ issuer, jwks_uri: `${issuer}/jwks` })
    )
  })
  return listen(server as unknown as Server)
}

test('doctor reaches a server of a private CA with --ca, and names the option without it', async () => {
  const issuer = `https://localhost:${await startPrivate('localhost')}`
  const refused = await run(['doctor', issuer])
  expect(refused).toMatchObject({ code: 2, err: '' })
  expect(refused.out).toContain('NODE_EXTRA_CA_CERTS=ca.pem, or a dispatcher with `connect: { ca }`; here: --ca ca.pem')
  const reached = await run(['doctor', issuer, '--resource', issuer, '--ca', ca])
  expect(reached.out).toContain(`✓ Keys at ${issuer}/jwks: 1 of 1 usable`)
  expect(reached.out).toContain('// Start Node with the private CA: NODE_EXTRA_CA_CERTS=/path/of/ca.pem')
  // The API itself is reached with the CA too.
  expect(reached.out).not.toContain('could not be reached')
})

test('asks through the proxy of the environment, with a private CA behind it, and says what an API needs', async () => {
  const port = await startPrivate('as.example.com')
  const tunnels: string[] = []
  const proxy = createServer()
  proxy.on('connect', (request, client: Socket) => {
    tunnels.push(request.url ?? '')
    const upstream = connect(port, '127.0.0.1', () => {
      client.write('HTTP/1.1 200 OK\r\n\r\n')
      upstream.pipe(client).pipe(upstream)
    })
    for (const socket of [client, upstream]) socket.on('error', () => undefined)
  })
  const origin = `http://127.0.0.1:${await listen(proxy)}`
  const { out } = await run(['doctor', 'https://as.example.com', '--ca', ca], { HTTPS_PROXY: origin })
  expect(new Set(tunnels)).toEqual(new Set(['as.example.com:443']))
  expect(out).toContain('· Servers are asked through the proxy of HTTPS_PROXY\n    An API needs `http: { proxy:')
  expect(out).toContain("  http: { proxy: 'environment' }\n})")
  expect(out).toContain('✓ Keys at https://as.example.com/jwks: 1 of 1 usable')
}, 60_000)

test('says which variable does not name a proxy', async () => {
  const { err, code } = await run(['doctor', 'https://as.example.com'], { HTTPS_PROXY: 'proxy:3128/path' })
  expect(code).toBe(2)
  expect(err).toContain('The variable HTTPS_PROXY is not an http or https URL.')
})

const terminal = (content: string): Terminal => ({
  isTTY: false,
  noColor: true,
  out: () => undefined,
  err: () => undefined,
  input: async () => '',
  readFile: async () => content,
  readPage: async () => '',
  fetch,
  now: () => 0
})

test.each([
  ['', '--ca: the file has no certificate in PEM'],
  [
    '-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n',
    '--ca: the file has a certificate that cannot be read.'
  ]
])('--ca refuses the file %j', async (content, words) => {
  await expect(createConnections('ca.pem', terminal(content))).rejects.toThrow(words)
})

describe('a reader that closes its pipe before the command writes', () => {
  /** Fills the pipe until its reader has gone, so that each write of the command fails with EPIPE. */
  const fill = 'while printf x; do :; done 2>/dev/null'
  const main = `"${process.execPath}" "${MAIN}"`
  const token = join(folder, 'token.txt')
  writeFileSync(token, 'opaque')

  test.each([
    ['doctor ends with the exit code of its verdict', 'doctor http://127.0.0.1:1', 2],
    [
      'explain ends with the exit code of its verdict',
      'explain --issuer http://127.0.0.1:1 --resource http://localhost < "$TOKEN"',
      1
    ],
    ['a mistake in the arguments ends with its exit code', 'issuer --bogus 2>&1', 2],
    ['issuer ends, because nobody can read its secrets', 'issuer --resource http://localhost:3999 --port 0', 0]
  ])('%s, and without a stack trace', async (_title, args, code) => {
    const command = `TOKEN='${token}'; trap '' PIPE; { ${fill}; ${main} ${args} ${args.includes('2>') ? '' : '2>&3'}; echo "code $?" >&3; } 3>&2 | true`
    const { stdout, stderr } = await shell(command)
    expect(stdout).toBe('')
    expect(stderr).toMatch(new RegExp(`code ${code}\n$`))
    expect(stderr).not.toMatch(/EPIPE|\n {4}at /)
  })
})

test('issuer goes on after head has read the first line', async () => {
  const command = `{ "${process.execPath}" "${MAIN}" issuer --resource http://localhost:3999 --port 0 & echo $! >&3; wait; } 3>&2 | head -n 1`
  const child = spawn('/bin/sh', ['-c', command], { stdio: ['ignore', 'pipe', 'pipe'] })
  const [first, pid] = await Promise.all([once(child.stdout, 'data'), once(child.stderr, 'data')])
  try {
    const [, issuer = ''] = /(http:\S+)\n$/.exec(String(first[0])) ?? []
    expect((await fetch(`${issuer}/jwks`)).status).toBe(200)
  } finally {
    process.kill(Number(String(pid[0])), 'SIGINT')
    await once(child, 'exit')
  }
})

test('the output of explain can be closed early, as by head', async () => {
  const command = `"${process.execPath}" "${MAIN}" explain --help | head -n 1`
  const { stdout, stderr } = await shell(command)
  expect({ stdout, stderr }).toEqual({ stdout: 'Usage:\n', stderr: '' })
})

function shell(command: string): Promise<{ readonly stdout: string; readonly stderr: string }> {
  return new Promise((resolve) => {
    execFile('/bin/sh', ['-c', command], (_error, stdout, stderr) => resolve({ stdout, stderr }))
  })
}
