// @ts-check
import express from 'express'
import {
  GraphQLError,
  GraphQLObjectType,
  GraphQLSchema,
  GraphQLString,
  parse,
  TypeInfo,
  visit,
  visitWithTypeInfo
} from 'graphql'
import { createHandler } from 'graphql-http/lib/use/express'
import { ResourceServerError, resourceServer, scope } from 'oauth-resource-server'
import { enforce, errorHandler, getAuth, protect, protectedResourceMetadata } from 'oauth-resource-server/express'

const { ISSUER = 'https://as.example.com', RESOURCE = 'https://api.example.com', PORT = '3000' } = process.env

// #region graphql
const api = resourceServer({ resource: RESOURCE, issuers: [ISSUER] })

/** A field that requires a scope. Every operation that reads it runs this check, on any path through the schema. */
const field = (/** @type {string} */ needs, /** @type {(access: Access) => string} */ resolve) => ({
  type: GraphQLString,
  extensions: { scope: needs },
  resolve: (/** @type {unknown} */ _, /** @type {unknown} */ __, /** @type {{ access: Access }} */ { access }) => {
    if (!access.hasScope(needs)) throw new GraphQLError(`This needs the scope ${needs}`)
    return resolve(access)
  }
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

/** The scopes of all fields in a document, in fragments too. A text that is not GraphQL has none, and is not executed. */
function scopesOf(/** @type {string} */ text) {
  /** @type {Set<string>} */
  const needed = new Set()
  const types = new TypeInfo(schema)
  const Field = () => {
    const needs = types.getFieldDef()?.extensions['scope']
    if (typeof needs === 'string') needed.add(needs)
  }
  try {
    visit(parse(text), visitWithTypeInfo(types, { Field }))
  } catch (error) {
    if (!(error instanceof GraphQLError)) throw error
  }
  return [...needed]
}

const app = express()
app.use(protectedResourceMetadata(api))
app.post(
  '/graphql',
  protect(api),
  createHandler({
    schema,
    context: ({ raw }) => ({ access: getAuth(raw) }),
    // One challenge with all scopes of the operation: a 403, before anything is resolved. It reads the text that is
    // executed, because another parser may read the body differently.
    onSubscribe: async ({ raw }, { query }) => {
      const needed = scopesOf(query)
      if (needed.length === 0) return
      try {
        await enforce(api, raw, scope(...needed))
      } catch (error) {
        if (!(error instanceof ResourceServerError)) throw error
        const headers = { ...error.headers, 'content-type': 'application/json' }
        return [
          JSON.stringify(error.toJSON()),
          { status: error.status, statusText: '', headers: /** @type {any} */ (headers) }
        ]
      }
    }
  })
)
app.use(errorHandler())
// #endregion

const server = app.listen(Number(PORT), () => console.log(`GraphQL: http://localhost:${PORT}/graphql`))
process.once('SIGTERM', () => server.close(() => api.close()))

/** @typedef {import('oauth-resource-server').Access} Access */
