// @ts-check
/** As its README: `jwtVerify` with a remote key set, which is cached. */
import { createRemoteJWKSet, jwtVerify } from 'jose'

/** @type {import('../lib/types.d.ts').Peer} */
export default {
  name: 'jose',
  packages: ['jose'],
  verify: ({ issuer, jwksUri, audience }) => {
    const keys = createRemoteJWKSet(new URL(jwksUri))
    const options = { issuer, audience, typ: 'at+jwt', algorithms: ['RS256', 'ES256'] }
    return (authorization) => jwtVerify(authorization.slice(7), keys, options)
  }
}
