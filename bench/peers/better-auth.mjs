// @ts-check
/** `verifyAccessTokenRequest`, the entry for APIs in `better-auth/oauth2`; it keeps the key set, and uses jose. */
import { verifyAccessTokenRequest } from 'better-auth/oauth2'

const REQUEST = { method: 'GET', url: 'https://api.example.com/items' }

/** @param {import('../lib/types.d.ts').Setup} setup */
const optionsOf = ({ issuer, audience, jwksUri }) => ({ jwksUrl: jwksUri, verifyOptions: { issuer, audience } })

/** @type {import('../lib/types.d.ts').Peer} */
export default {
  name: 'better-auth',
  packages: ['better-auth'],
  verify: (setup) => {
    const options = optionsOf(setup)
    return (authorization) => verifyAccessTokenRequest({ ...REQUEST, authorizationHeader: authorization }, options)
  },
  verifyProof: (setup) => {
    const options = optionsOf(setup)
    return ({ authorization, proof }) =>
      verifyAccessTokenRequest({ ...REQUEST, authorizationHeader: authorization, dpopProofJwt: proof }, options)
  }
}
