// @ts-check
import { ApolloServer } from '@apollo/server'
import { expressMiddleware } from '@as-integrations/express5'
import express from 'express'
import { GraphQLError } from 'graphql'
import { resourceServer } from 'oauth-resource-server'
import { errorHandler, getAuth, protect, protectedResourceMetadata } from 'oauth-resource-server/express'

const { ISSUER = 'https://as.example.com', RESOURCE = 'https://api.example.com', PORT = '3000' } = process.env

const api = resourceServer({ resource: RESOURCE, issuers: [ISSUER] })

/** For a field that needs a scope: the operation's other fields are answered, as GraphQL clients expect. */
function requireScope(/** @type {Access} */ access, /** @type {string} */ scope) {
  if (access.hasScope(scope)) return
  throw new GraphQLError(`This field needs the scope ${scope}`, {
    extensions: { code: 'FORBIDDEN', http: { status: 403 } }
  })
}

const server = new ApolloServer({
  typeDefs: 'type Query { me: String, orders: String }',
  resolvers: {
    Query: {
      me: (_, __, { access }) => access.subject,
      orders: (_, __, { access }) => {
        requireScope(access, 'orders:read')
        return `orders of ${access.subject}`
      }
    }
  }
})
await server.start()

const app = express()
app.use(protectedResourceMetadata(api))
app.use(
  '/graphql',
  protect(api), // before the body is read: a request without a valid token is a 401 with its challenge
  express.json(),
  expressMiddleware(server, { context: async ({ req }) => ({ access: getAuth(req) }) })
)
app.use(errorHandler())
app.listen(Number(PORT), () => console.log(`Apollo Server: http://localhost:${PORT}/graphql`))

/** @typedef {import('oauth-resource-server').Access} Access */
