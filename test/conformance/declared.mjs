// @ts-check
/**
 * What a user of the suite would declare of the APIs that have every feature: the oracle and its weakened copies, and the APIs of
 * `npm run conformance:report`.
 */

/** The facts that no request can find out. @type {import('../../conformance/index.js').Declared} */
export const FACTS = {
  scopedRoutes: [{ target: '/write', scope: 'orders:write' }],
  stepUp: { target: '/admin', acr: 'strong', maxAge: 300 },
  certificateField: 'Client-Cert',
  revokedBy: ['introspection', 'status-list', 'event', 'logout'],
  eventTarget: '/events',
  logoutTarget: '/logout',
  revocationSeconds: 70
}

/**
 * Declared, not detected: a feature that fails must fail its checks, and not turn them into "not applicable".
 *
 * @type {readonly import('../../conformance/index.js').Need[]}
 */
export const FEATURES = ['introspection', 'dpop', 'mtls', 'scopes', 'second-issuer', 'revocation']
