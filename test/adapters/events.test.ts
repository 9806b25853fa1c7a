/** What is left of a pushed event when somebody else's parser read its body first. */
import { IncomingMessage } from 'node:http'
import { Socket } from 'node:net'
import { expect, test } from 'vitest'
import { receiveNode } from '../../adapters/shared/receive.js'
import type { Receiver } from '../../src/index.js'

async function bodyOf(parsed: unknown): Promise<string> {
  const request = new IncomingMessage(new Socket())
  const seen: string[] = []
  const receive: Receiver = async ({ body }) => {
    seen.push(body)
    return { status: 200, headers: {}, body: '' }
  }
  const answer = receiveNode(receive, request, parsed)
  request.push(null)
  expect((await answer).status).toBe(200)
  return seen.join()
}

const deep = (): unknown => {
  let value: unknown[] = []
  for (let i = 0; i < 20_000; i++) value = [value]
  return { a: value }
}

test.each([
  ['a text', 'a=b', 'a=b'],
  ['bytes', Buffer.from('a=b'), 'a=b'],
  ['a form', { logout_token: 'x.y.z', other: '1' }, 'logout_token=x.y.z&other=1'],
  ['a field that came twice', { a: ['1', '2'] }, 'a=1&a=2'],
  ['nothing', {}, ''],
  ['what no form has: objects that are no texts', { a: { toString: 1 }, b: '2' }, 'b=2'],
  ['numbers and null', { a: 1, b: null, c: '3' }, 'c=3'],
  ['lists in lists, as deep as a body may be', deep(), ''],
  ['an object that has no prototype', Object.assign(Object.create(null), { a: 'b' }), 'a=b']
])('%s', async (_, parsed, text) => {
  expect(await bodyOf(parsed)).toBe(text)
})

test('a receiver that rejects with nothing has failed all the same: a callback would take it for an answer', async () => {
  const receive: Receiver = () => Promise.reject(undefined)
  const request = new IncomingMessage(new Socket())
  request.push(null)
  await expect(receiveNode(receive, request, 'a=b')).rejects.toBeInstanceOf(TypeError)
})
