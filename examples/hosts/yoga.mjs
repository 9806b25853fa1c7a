// @ts-check
import { createServer } from 'node:http'
import { GraphQLError } from 'graphql'
import { createSchema, createYoga } from 'graphql-yoga'
import { resourceServer } from 'oauth-resource-server'
import { protect, protectedResourceMetadata } from 'oauth-resource-server/node'

const { ISSUER = 'https://as.example.com', RESOURCE = 'https://api.example.com', PORT = '3000' } = process.env

const api = resourceServer({ resource: RESOURCE, issuers: [ISSUER] })
const metadata = protectedResourceMetadata(api)
const guard = protect(api)

const yoga = /** @type {import('graphql-yoga').YogaServerInstance<{ access: Access }, {}>} */ (
  createYoga({
    schema: createSchema({
      typeDefs: 'type Query { me: String, orders: String }',
      resolvers: {
        Query: {
          me: (_, __, { access }) => access.subject,
          orders: (_, __, { access }) => {
            if (!access.hasScope('orders:read'))
              throw new GraphQLError('This field needs the scope orders:read', {
                extensions: { code: 'FORBIDDEN', http: { status: 403 } }
              })
            return `orders of ${access.subject}`
          }
        }
      }
    })
  })
)

createServer(async (request, response) => {
  if (metadata(request, response)) return
  const granted = await guard(request, response)
  if (!granted?.access) return // refused and answered
  void yoga.handle(request, response, { access: granted.access })
}).listen(Number(PORT), () => console.log(`Yoga: http://localhost:${PORT}/graphql`))

/** @typedef {import('oauth-resource-server').Access} Access */
