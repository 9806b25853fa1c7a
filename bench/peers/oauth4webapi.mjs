// @ts-check
/** `validateJwtAccessToken` on a `Request`, which is what it takes. */
import { allowInsecureRequests, discoveryRequest, validateJwtAccessToken } from 'oauth4webapi'

/** @param {import('../lib/types.d.ts').Setup} setup */
async function discover({ issuer }) {
  const url = new URL(issuer)
  const options = { [allowInsecureRequests]: true, algorithm: /** @type {const} */ ('oauth2') }
  // The issuer has no trailing slash, which `new URL` adds.
  const answer = await (await discoveryRequest(url, options)).json()
  return { .../** @type {any} */ (answer), issuer }
}

/** @type {import('../lib/types.d.ts').Peer} */
export default {
  name: 'oauth4webapi',
  packages: ['oauth4webapi'],
  verify: async (setup) => {
    const as = await discover(setup)
    const options = { [allowInsecureRequests]: true }
    return (authorization) =>
      validateJwtAccessToken(
        as,
        new Request('https://api.example.com/items', { headers: { authorization } }),
        setup.audience,
        options
      )
  },
  verifyProof: async (setup) => {
    const as = await discover(setup)
    const options = { [allowInsecureRequests]: true, requireDPoP: true }
    return ({ authorization, proof: dpop }) =>
      validateJwtAccessToken(
        as,
        new Request('https://api.example.com/items', { headers: { authorization, dpop } }),
        setup.audience,
        options
      )
  }
}
