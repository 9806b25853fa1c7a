// @ts-check
/** `node --test examples/testing/` needs no network and no authorization server, and mocks nothing. */
import assert from 'node:assert/strict'
import { beforeEach, test } from 'node:test'
import { createTestIssuer, fakeAccess } from 'oauth-resource-server/testing'
import request from 'supertest'
import { createApp } from './app.mjs'

const resource = 'https://api.example.com'

/** @type {import('oauth-resource-server/testing').TestIssuer} */
let as
/** @type {ReturnType<typeof createApp>} */
let app
beforeEach(async () => {
  as = await createTestIssuer()
  app = createApp(as.options({ resource }))
})

/** @param {string} token */
const getOrders = (token) => request(app).get('/orders').set('Authorization', `Bearer ${token}`)

test('returns the orders to a client with the scope', async () => {
  const { status, body } = await getOrders(as.token({ sub: 'alice', scope: 'orders:read' }))
  assert.deepEqual({ status, body }, { status: 200, body: { for: 'alice' } })
})

test('refuses a token with another scope', async () => {
  const { status, headers } = await getOrders(as.token({ scope: 'profile' }))
  assert.equal(status, 403)
  assert.match(String(headers['www-authenticate']), /error="insufficient_scope", .*scope="orders:read"/)
})

test('refuses bad tokens, and requests without one', async () => {
  const scope = 'orders:read'
  for (const token of [
    as.expired({ scope }),
    as.wrongAudience({ scope }),
    as.unsigned({ scope }),
    as.tampered({ scope })
  ])
    assert.equal((await getOrders(token)).status, 401)
  assert.equal((await request(app).get('/orders')).status, 401)
})

test('refuses a stolen token without its key', async () => {
  const claims = { scope: 'orders:read' }
  const { authorization, dpop } = as.dpop({ url: `${resource}/orders`, claims })
  assert.equal((await request(app).get('/orders').set({ authorization, dpop })).status, 200)
  assert.equal((await request(app).get('/orders').set({ authorization })).status, 401)
})

test('answers an outage with 503', async () => {
  as.fail('jwks', 503)
  const { status, headers } = await getOrders(as.token({ scope: 'orders:read' }))
  assert.deepEqual(
    { status, retryAfter: /^\d+$/.test(headers['retry-after'] ?? '') },
    { status: 503, retryAfter: true }
  )
})

test('accepts an opaque token until it expires', async () => {
  const token = as.opaque({ scope: 'orders:read' })
  assert.equal((await getOrders(token)).status, 200)
  as.advance(600)
  assert.equal((await getOrders(token)).status, 401)
})

test('gives a handler an access without a request', async () => {
  const access = await fakeAccess({ subject: 'alice', scopes: ['orders:read'] })
  assert.equal(access.subject, 'alice')
  assert.deepEqual(access.scopes, ['orders:read'])
})
