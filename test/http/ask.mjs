// @ts-check
/**
 * One request to an API in a process of its own, since Node reads `NODE_EXTRA_CA_CERTS` when it starts:
 * `node ask.mjs '{"options":{…},"token":"…"}'` prints the answer as JSON.
 */
import { ResourceServerError, resourceServer } from 'oauth-resource-server'

const { options, token } = JSON.parse(process.argv[2] ?? '')
const api = resourceServer({ resource: 'https://api.example.com', ...options })
/** @type {(name: string) => readonly string[]} */
const fieldLines = (name) => (name === 'authorization' ? [`Bearer ${token}`] : [])
try {
  await api.authorize({ method: 'GET', url: '/', fieldLines })
  console.log(JSON.stringify({ status: 200 }))
} catch (error) {
  if (!(error instanceof ResourceServerError)) throw error
  const { status, hint, cause } = error
  console.log(JSON.stringify({ status, hint, code: Object(cause).code }))
}
await api.close()
