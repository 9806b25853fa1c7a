// @ts-check
import { createServer } from 'node:http'
import { GraphQLError, GraphQLNonNull, GraphQLObjectType, GraphQLSchema, GraphQLString } from 'graphql'
import { useServer } from 'graphql-ws/use/ws'
import { ResourceServerError, resourceServer } from 'oauth-resource-server'
import { NodeRequest, protectedResourceMetadata } from 'oauth-resource-server/node'
import { WebSocketServer } from 'ws'

const { ISSUER = 'https://as.example.com', RESOURCE = 'https://api.example.com', PORT = '3000' } = process.env

const api = resourceServer({ resource: RESOURCE, issuers: [ISSUER] })
const metadata = protectedResourceMetadata(api)
const mayConnect = api.protect()

/** A field of the connection that needs a scope. */
function requireScope(/** @type {Access} */ access, /** @type {string} */ scope) {
  if (!access.hasScope(scope))
    throw new GraphQLError(`This needs the scope ${scope}`, { extensions: { code: 'FORBIDDEN' } })
}

const schema = new GraphQLSchema({
  query: new GraphQLObjectType({
    name: 'Query',
    fields: { me: { type: GraphQLString, resolve: (_, __, { access }) => access.subject } }
  }),
  subscription: new GraphQLObjectType({
    name: 'Subscription',
    fields: {
      orders: {
        type: new GraphQLNonNull(GraphQLString),
        subscribe: async function* (_, __, { access }) {
          requireScope(access, 'orders:read')
          yield { orders: `orders of ${access.subject}` }
        }
      }
    }
  })
})

/** The request of the handshake, with the token of `connectionParams` as one more line of `Authorization`. */
class Handshake extends NodeRequest {
  /** @type {readonly string[]} */
  #given

  constructor(/** @type {import('node:http').IncomingMessage} */ request, /** @type {unknown} */ given) {
    super(request)
    this.#given = typeof given === 'string' ? [given] : []
  }

  fieldLines(/** @type {string} */ name) {
    const lines = super.fieldLines(name)
    return name === 'authorization' ? [...lines, ...this.#given] : lines
  }
}

const server = createServer((request, response) => {
  if (!metadata(request, response)) response.writeHead(404).end()
})
const sockets = new WebSocketServer({ server, path: '/graphql' })
useServer(
  {
    schema,
    // Once for each connection, before any operation.
    onConnect: async ({ connectionParams, extra }) => {
      const { request, socket } = extra
      try {
        const access = await mayConnect.authorize(new Handshake(request, connectionParams?.['authorization']))
        Object.assign(extra, { access })
        // The token may end, or be revoked, while the connection is open. The client connects again after
        // 4403, and gives up after 4401.
        const end = () => socket.close(4403, 'the token ended')
        const { signal } = access
        signal.addEventListener('abort', end, { once: true })
        socket.once('close', () => signal.removeEventListener('abort', end))
        // One of the two may have ended during the check.
        if (signal.aborted) end()
        return socket.readyState === socket.OPEN
      } catch (error) {
        if (!(error instanceof ResourceServerError)) throw error
        // 1013 means: try again later.
        socket.close(error.status === 503 ? 1013 : 4000 + error.status, error.message)
        return false
      }
    },
    context: ({ extra }) => ({ access: /** @type {{ access?: Access }} */ (extra).access })
  },
  sockets
)
server.listen(Number(PORT), () => console.log(`Subscriptions: ws://localhost:${PORT}/graphql`))
process.once('SIGTERM', () => server.close(() => api.close()))

/** @typedef {import('oauth-resource-server').Access} Access */
