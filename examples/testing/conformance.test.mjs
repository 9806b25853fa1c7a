// @ts-check
/** The conformance suite against the API of app.mjs, on a socket: its issuer signs good tokens, and tokens with one flaw each. */
import assert from 'node:assert/strict'
import { once } from 'node:events'
import { createServer } from 'node:http'
import { test } from 'node:test'
import { failuresOf, runConformance, startSuiteIssuer } from 'oauth-resource-server/conformance'
import { createApp } from './app.mjs'

test('the API accepts and refuses tokens as the RFCs say', async (t) => {
  const server = createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  t.after(() => server.close())
  const { port } = /** @type {import('node:net').AddressInfo} */ (server.address())
  const url = `http://127.0.0.1:${port}/orders`

  const issuer = await startSuiteIssuer({ port: 0, audience: url, scope: 'orders:read' })
  t.after(() => issuer.close())
  server.on('request', createApp({ resource: url, issuers: [issuer.url], log: false }))

  const report = await runConformance(url, { issuer, only: ['rfc6750-*', 'rfc9068-*'] })
  const failures = failuresOf(report).map(({ id, finding }) => ({ id, ...finding }))
  assert.deepEqual(failures, [])
  assert.equal(report.counts.errors, 0)
})
