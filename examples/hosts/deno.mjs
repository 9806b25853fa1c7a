import { resourceServer, scope } from 'oauth-resource-server'
import { protect, protectedResourceMetadata } from 'oauth-resource-server/fetch'

const { ISSUER = 'https://as.example.com', RESOURCE = 'https://api.example.com', PORT = '3000' } = Deno.env.toObject()

const api = resourceServer({ resource: RESOURCE, issuers: [ISSUER] })
const metadata = protectedResourceMetadata(api)
const mayRead = protect(api, scope('orders:read'))

Deno.serve(
  { port: Number(PORT), onListen: () => console.log(`Deno: http://localhost:${PORT}/orders`) },
  async (request) => {
    const document = metadata(request)
    if (document) return document
    const access = await mayRead(request)
    if (access instanceof Response) return access
    return Response.json({ orders: [], subject: access.subject })
  }
)
