import { resourceServer, scope } from 'oauth-resource-server'
import { fetchDispatcher, protect, protectedResourceMetadata } from 'oauth-resource-server/fetch'

const { ISSUER = 'https://as.example.com', RESOURCE = 'https://api.example.com', PORT = '3000' } = process.env

const api = resourceServer({ resource: RESOURCE, issuers: [ISSUER], http: { dispatcher: fetchDispatcher() } })
const metadata = protectedResourceMetadata(api)
const mayRead = protect(api, scope('orders:read'))

Bun.serve({
  port: Number(PORT),
  async fetch(request) {
    const document = metadata(request)
    if (document) return document
    const access = await mayRead(request)
    if (access instanceof Response) return access
    return Response.json({ orders: [], subject: access.subject })
  }
})
console.log(`Bun: http://localhost:${PORT}/orders`)
