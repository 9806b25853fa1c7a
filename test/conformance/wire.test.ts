/** Requests go over the wire as they are written, and reports show no token. */

import { once } from 'node:events'
import type { AddressInfo, Socket } from 'node:net'
import { createServer } from 'node:net'
import { describe, expect, onTestFinished, test, vi } from 'vitest'
import { curlOf, shortened } from '../../conformance/engine/curl.js'
import { createWire, NoAnswer } from '../../conformance/engine/wire.js'
import { listen } from './apis.js'

/** A server of raw bytes. @returns its URL, and what it received */
async function startRaw(answer: string): Promise<{ url: URL; received: string[] }> {
  const received: string[] = []
  const server = createServer((socket) => {
    socket.on('error', () => {})
    socket.on('data', (chunk) => {
      received.push(chunk.toString('latin1'))
      if (answer !== '') socket.end(answer)
    })
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  onTestFinished(() => void server.close())
  return { url: new URL(`http://127.0.0.1:${(server.address() as AddressInfo).port}/orders?a=1`), received }
}

const OK =
  'HTTP/1.1 401 Unauthorized\r\nWWW-Authenticate: Bearer\r\nWWW-Authenticate: DPoP\r\nContent-Length: 0\r\n\r\n'

describe('wire', () => {
  test('sends a request again on a new connection after the API has closed all idle ones', async () => {
    const old = new Set<Socket>()
    let areIdleClosed = false
    const server = createServer((socket) => {
      socket.on('error', () => {})
      socket.on('data', () => {
        if (areIdleClosed && old.has(socket)) return socket.resetAndDestroy()
        old.add(socket)
        return socket.write('HTTP/1.1 204 No Content\r\n\r\n')
      })
    })
    server.listen(0, '127.0.0.1')
    await once(server, 'listening')
    onTestFinished(() => void server.close())
    const wire = createWire(new URL(`http://127.0.0.1:${(server.address() as AddressInfo).port}/`), {
      userAgent: 'suite'
    })
    onTestFinished(() => wire.close())
    await Promise.all([wire.send({}), wire.send({}), wire.send({})])
    expect(old.size).toBe(3)
    areIdleClosed = true
    expect(await wire.send({})).toMatchObject({ status: 204 })
    expect(old.size).toBe(4)
  })

  test('keeps order, repetition and case of lines, and the target as written', async () => {
    const { url, received } = await startRaw(OK)
    const wire = createWire(url, { userAgent: 'suite' })
    onTestFinished(() => wire.close())
    const response = await wire.send({
      target: '//x/../%2e?q',
      fields: [
        ['AUTHORIZATION', 'Bearer a'],
        ['Authorization', 'Bearer b']
      ]
    })
    expect(received.join('').split('\r\n').slice(0, 6)).toEqual([
      'GET //x/../%2e?q HTTP/1.1',
      `Host: ${url.host}`,
      'User-Agent: suite',
      'Accept: */*',
      'AUTHORIZATION: Bearer a',
      'Authorization: Bearer b'
    ])
    expect(response).toEqual({
      status: 401,
      body: '',
      fields: [
        ['www-authenticate', 'Bearer'],
        ['www-authenticate', 'DPoP'],
        ['content-length', '0']
      ]
    })
  })

  test('reads at most 64 KiB of an endless body, and the beginning of an event stream', async () => {
    const url = await listen((request, response) => {
      if (request.url === '/events')
        return response.writeHead(200, { 'Content-Type': 'text/event-stream' }).write('data: 1\n\n')
      const more = (): void => {
        while (!response.destroyed && response.write('x'.repeat(65_536)));
      }
      response.on('drain', more)
      return more()
    })
    const wire = createWire(new URL(url), { userAgent: 'suite' })
    onTestFinished(() => wire.close())
    expect((await wire.send({})).body).toHaveLength(65_536)
    expect((await wire.send({ target: '/events' })).body).toBe('data: 1\n\n')
  })

  test('cuts a body that goes on slowly, and an event stream without events, and ends a header that does', async () => {
    const url = await listen((request, response) => {
      const type = request.url === '/events' ? 'text/event-stream' : 'text/plain'
      response.writeHead(200, { 'Content-Type': type }).flushHeaders()
      if (request.url === '/events') return
      const timer = setInterval(() => response.write('x'), 20)
      response.on('close', () => clearInterval(timer))
    })
    const wire = createWire(new URL(url), { userAgent: 'suite', timeout: 200 })
    onTestFinished(() => wire.close())
    expect(await wire.send({})).toMatchObject({ status: 200, body: expect.stringMatching(/^x+$/) })
    expect(await wire.send({ target: '/events' })).toMatchObject({ status: 200, body: '' })
    const server = createServer((socket) => {
      socket.on('error', () => {})
      socket.write('HTTP/1.1 200 OK\r\nA: ')
      const timer = setInterval(() => socket.write('x'), 20)
      socket.on('close', () => clearInterval(timer))
    })
    server.listen(0, '127.0.0.1')
    await once(server, 'listening')
    onTestFinished(() => void server.close())
    const slow = createWire(new URL(`http://127.0.0.1:${(server.address() as AddressInfo).port}/`), {
      userAgent: 'suite',
      timeout: 200
    })
    onTestFinished(() => slow.close())
    await expect(slow.send({})).rejects.toMatchObject({ name: 'NoAnswer', code: 'ETIMEDOUT' })
  })

  test('holds an answer open until the API ends it', async () => {
    let end: (() => void) | undefined
    const url = await listen((_request, response) => {
      response.writeHead(200, { 'Content-Type': 'text/event-stream' }).flushHeaders()
      end = () => response.end()
    })
    const wire = createWire(new URL(url), { userAgent: 'suite' })
    onTestFinished(() => wire.close())
    const answer = await wire.open({})
    expect([answer.status, answer.hasEnded]).toEqual([200, false])
    end?.()
    await vi.waitUntil(() => answer.hasEnded)
  })

  test('closes open answers with the wire', async () => {
    let isGone = false
    const url = await listen((_request, response) => {
      response.writeHead(200).flushHeaders()
      response.on('close', () => {
        isGone = true
      })
    })
    const wire = createWire(new URL(url), { userAgent: 'suite' })
    await wire.open({})
    wire.close()
    await vi.waitUntil(() => isGone)
  })

  test.each([
    ['nothing listens', async () => new URL('http://127.0.0.1:1/'), 'ECONNREFUSED'],
    ['no answer comes', async () => (await startRaw('')).url, 'ETIMEDOUT'],
    ['the answer is not HTTP', async () => (await startRaw('SSH-2.0-x\r\n')).url, 'HPE_INVALID_CONSTANT']
  ])('says why where %s', async (_what, start, code) => {
    const wire = createWire(await start(), { userAgent: 'suite', timeout: 200 })
    onTestFinished(() => wire.close())
    const error = await wire.send({}).catch((one: unknown) => one)
    expect(error).toBeInstanceOf(NoAnswer)
    expect(error).toMatchObject({ code })
  })
})

describe('curl', () => {
  const url = new URL('https://api.example.com/orders?a=1')
  const token = `eyJhbGciOiJFUzI1NiJ9.${'a'.repeat(80)}.${'b'.repeat(86)}`

  test.each([
    ['the Authorization field', { fields: [['Authorization', `Bearer ${token}`]] as const }],
    ['the query', { target: `/orders?access_token=${token}` }],
    ['a body', { method: 'POST', body: `access_token=${token}` }],
    ['a cookie', { fields: [['Cookie', `t=${token}`]] as const }]
  ])('shortens a token in %s', (_where, request) => {
    const command = curlOf(request, url)
    expect(command).toContain('…(')
    expect(command).not.toContain('a'.repeat(30))
    expect(command).not.toContain('b'.repeat(30))
  })

  test('writes a command that a shell reads back', () => {
    expect(curlOf({ method: 'HEAD', fields: [['X', "it's"]] }, url)).toBe(
      "curl -i --head -H 'X: it'\\''s' 'https://api.example.com/orders?a=1'"
    )
    expect(curlOf({ target: '//orders' }, url)).toBe(
      "curl -i --path-as-is --request-target '//orders' 'https://api.example.com'"
    )
    expect(curlOf({ fields: [['X', 'a\tb']] }, url)).toContain("$'X: a\\u0009b'")
  })

  test('keeps ordinary texts', () => {
    expect(shortened('invalid_token, no such route')).toBe('invalid_token, no such route')
  })
})
