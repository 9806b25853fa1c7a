// @ts-check
import express from 'express'
import { GraphQLObjectType, GraphQLSchema, GraphQLString, parse, TypeInfo, visit, visitWithTypeInfo } from 'graphql'
import { createHandler } from 'graphql-http/lib/use/express'
import { resourceServer, scope } from 'oauth-resource-server'
import { enforce, errorHandler, getAuth, protect, protectedResourceMetadata } from 'oauth-resource-server/express'

const { ISSUER = 'https://as.example.com', RESOURCE = 'https://api.example.com', PORT = '3000' } = process.env

// #region graphql
const api = resourceServer({ resource: RESOURCE, issuers: [ISSUER] })

/** Each field says which scope it needs; one without a scope needs a good token. */
const field = (/** @type {string} */ needs, /** @type {(access: Access) => string} */ resolve) => ({
  type: GraphQLString,
  extensions: { scope: needs },
  resolve: (/** @type {unknown} */ _, /** @type {unknown} */ __, /** @type {{ access: Access }} */ { access }) =>
    resolve(access)
})
const query = new GraphQLObjectType({
  name: 'Query',
  fields: {
    me: { type: GraphQLString, resolve: (_, __, { access }) => access.subject },
    orders: field('orders:read', ({ subject }) => `orders of ${subject}`),
    invoices: field('invoices:read', ({ subject }) => `invoices of ${subject}`)
  }
})
const schema = new GraphQLSchema({ query })

/** The scopes of all fields that a document asks for, in fragments too: known before anything is resolved. */
function scopesOf(/** @type {string} */ text) {
  /** @type {Set<string>} */
  const needed = new Set()
  const types = new TypeInfo(schema)
  const Field = () => {
    const needs = types.getFieldDef()?.extensions['scope']
    if (typeof needs === 'string') needed.add(needs)
  }
  visit(parse(text), visitWithTypeInfo(types, { Field }))
  return [...needed]
}

const app = express()
app.use(protectedResourceMetadata(api))
app.post('/graphql', protect(api), express.json(), async (req, _res, next) => {
  /** @type {string[]} */
  let needed = []
  try {
    needed = scopesOf(String(req.body?.query))
  } catch {
    // No GraphQL: the handler says so, and executes nothing.
  }
  // One challenge for all that the operation needs: a 403, and not an error among the data of a 200.
  if (needed.length > 0) await enforce(api, req, scope(...needed))
  next()
})
app.post('/graphql', createHandler({ schema, context: ({ raw }) => ({ access: getAuth(raw) }) }))
app.use(errorHandler())
// #endregion

const server = app.listen(Number(PORT), () => console.log(`GraphQL: http://localhost:${PORT}/graphql`))
process.once('SIGTERM', () => server.close(() => api.close()))

/** @typedef {import('oauth-resource-server').Access} Access */
