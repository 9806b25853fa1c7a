/** OpenAuth.js on node:http, with its storage in memory and one provider, for clients that act for themselves. */
import { once } from 'node:events'
import { createServer } from 'node:http'
import { issuer as createIssuer } from '@openauthjs/openauth'
import { MemoryStorage } from '@openauthjs/openauth/storage/memory'
import { createSubjects } from '@openauthjs/openauth/subject'
import { exportPKCS8, exportSPKI, generateKeyPair } from 'jose'

const storage = MemoryStorage()
const machine = {
  type: 'machine',
  init: () => undefined,
  client: async ({ clientID }) => ({ clientID })
}
const service = { type: 'service', '~standard': { version: 1, vendor: 'test', validate: (value) => ({ value }) } }

const createApp = () =>
  createIssuer({
    storage,
    subjects: createSubjects({ service }),
    providers: { machine },
    success: (context, { clientID }) => context.subject('service', { clientID }, { subject: clientID })
  })

export async function start() {
  let app = createApp()
  const server = createServer(async (request, response) => {
    const chunks = await request.toArray()
    const answer = await app.fetch(
      new Request(`http://${request.headers.host}${request.url}`, {
        method: request.method,
        headers: request.headers,
        ...(chunks.length > 0 && { body: Buffer.concat(chunks) })
      })
    )
    response.writeHead(answer.status, Object.fromEntries(answer.headers)).end(Buffer.from(await answer.arrayBuffer()))
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const issuer = `http://127.0.0.1:${server.address().port}`
  const tokenFor = async (clientId) => {
    const body = new URLSearchParams({
      grant_type: 'client_credentials',
      provider: 'machine',
      client_id: clientId,
      client_secret: 'secret'
    })
    return (await (await fetch(`${issuer}/token`, { method: 'POST', body })).json()).access_token
  }
  return {
    issuer,
    token: () => tokenFor('web'),
    otherToken: () => tokenFor('another-client'),
    /** As an operator would: the newest key in the storage signs after a restart, and the others stay published. */
    rotate: async () => {
      const { publicKey, privateKey } = await generateKeyPair('ES256', { extractable: true })
      const id = crypto.randomUUID()
      const entry = {
        id,
        publicKey: await exportSPKI(publicKey),
        privateKey: await exportPKCS8(privateKey),
        created: Date.now() + 1000,
        alg: 'ES256'
      }
      await storage.set(['signing:key', id], entry)
      app = createApp()
    },
    close: async () => {
      server.close()
      server.closeAllConnections()
    }
  }
}
