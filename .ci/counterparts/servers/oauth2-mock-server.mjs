/** oauth2-mock-server as its README starts it. Its access tokens have neither `sub` nor `client_id` unless a user signed in. */
import { OAuth2Server } from 'oauth2-mock-server'

export async function start() {
  const server = new OAuth2Server()
  await server.issuer.keys.generate('RS256')
  await server.start(0, '127.0.0.1')
  const issuer = server.issuer.url
  const ask = async (fields) => {
    const response = await fetch(`${issuer}/token`, { method: 'POST', body: new URLSearchParams(fields) })
    return response.json()
  }
  const tokenFor = async (aud) =>
    (await ask({ grant_type: 'client_credentials', aud, scope: 'orders:read' })).access_token
  return {
    issuer,
    token: () => tokenFor('https://api.example.com'),
    otherToken: () => tokenFor('https://other.example.com'),
    // The ID token names its client as audience: an API that calls itself like the client is what could take it.
    idToken: async () =>
      (await ask({ grant_type: 'password', username: 'alice', client_id: 'https://api.example.com', scope: 'x' }))
        .id_token,
    // It signs with each of its keys in turn.
    rotate: () => server.issuer.keys.generate('RS256'),
    close: () => server.stop()
  }
}
