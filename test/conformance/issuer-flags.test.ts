/** The flags of the command about the authorization server of the suite. */
import { expect, test } from 'vitest'
import { declaredBy, startIssuer, wantsIssuer } from '../../conformance/issuer-flags.js'
import type { Terminal } from '../../src/cli/terminal.js'

const terminal = { out: () => {}, err: () => {} } as unknown as Terminal

test('reads routes, certificates and ways of revocation into facts and features', () => {
  expect(
    declaredBy({
      'scoped-route': ['/a=b:c'],
      'step-up': '/admin=strong',
      'certificate-field': 'Client-Cert',
      'revoked-by': ['event'],
      'revocation-seconds': '5',
      stream: '/events'
    })
  ).toEqual({
    declared: {
      scopedRoutes: [{ target: '/a', scope: 'b:c' }],
      stepUp: { target: '/admin', acr: 'strong' },
      certificateField: 'Client-Cert',
      revokedBy: ['event'],
      revocationSeconds: 5,
      stream: '/events'
    },
    has: []
  })
  expect(declaredBy({ mtls: true })).toEqual({ declared: {}, has: ['mtls'] })
})

test.each([
  [{ 'revoked-by': ['fax'] }, '--revoked-by is fax: it must be one of introspection, status-list, event, logout.'],
  [{ 'scoped-route': ['orders'] }, '--scoped-route is orders: write --scoped-route /orders=orders:write.'],
  [{ 'revocation-seconds': 'soon' }, '--revocation-seconds is soon: write a number from 0.']
])('explains the value that it cannot read: %o', (values, message) => {
  expect(() => declaredBy(values)).toThrow(message)
})

test('serves no issuer without --test-deployment', async () => {
  expect(wantsIssuer({ port: '0' })).toBe(true)
  expect(wantsIssuer({ 'test-deployment': false })).toBe(false)
  await expect(startIssuer({ port: '0' }, new URL('http://127.0.0.1/a'), terminal)).rejects.toThrow('--test-deployment')
})
