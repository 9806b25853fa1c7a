import { scope } from 'oauth-resource-server'
import { protect } from 'oauth-resource-server/fetch'
import { api } from '../../api.js'

const mayRead = protect(api, scope('orders:read'))

export async function GET(request) {
  const access = await mayRead(request)
  if (access instanceof Response) return access
  return Response.json({ orders: [], subject: access.subject })
}
