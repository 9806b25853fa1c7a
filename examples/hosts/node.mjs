// @ts-check
import { createServer } from 'node:http'
import { resourceServer, scope } from 'oauth-resource-server'
import { protect, protectedResourceMetadata, protectUpgrade } from 'oauth-resource-server/node'
import { WebSocketServer } from 'ws'

const { ISSUER = 'https://as.example.com', RESOURCE = 'https://api.example.com', PORT = '3000' } = process.env

const api = resourceServer({ resource: RESOURCE, issuers: [ISSUER] })
const metadata = protectedResourceMetadata(api)
const mayRead = protect(api, scope('orders:read'))
const mayListen = protectUpgrade(api, scope('orders:read'))
const sockets = new WebSocketServer({ noServer: true })

const server = createServer(async (request, response) => {
  if (metadata(request, response)) return
  const granted = await mayRead(request, response)
  if (!granted) return // refused and answered
  response.setHeader('Content-Type', 'application/json')
  response.end(JSON.stringify({ orders: [], subject: granted.access?.subject }))
})
server.on('upgrade', async (request, socket, head) => {
  const granted = await mayListen(request, socket)
  if (!granted) return // the handshake was refused, in plain HTTP
  sockets.handleUpgrade(request, socket, head, (client) => {
    // Without this listener, one invalid frame would end the process.
    client.on('error', () => client.terminate())
    const end = () => client.close(4401, 'the token ended')
    // The token may end, or be revoked, while the connection is open.
    const signal = granted.access?.signal
    if (signal?.aborted) end()
    signal?.addEventListener('abort', end, { once: true })
    client.on('close', () => signal?.removeEventListener('abort', end))
    client.send(`hello ${granted.access?.subject}`)
  })
})
server.listen(Number(PORT), () => console.log(`node: http://localhost:${PORT}/orders`))
api.ready().catch((error) => console.error(error.message))
