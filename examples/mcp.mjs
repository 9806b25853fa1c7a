// @ts-check
import { McpServer } from '@modelcontextprotocol/sdk/server/mcp.js'
import { StreamableHTTPServerTransport } from '@modelcontextprotocol/sdk/server/streamableHttp.js'
import express from 'express'
import { resourceServer, scope } from 'oauth-resource-server'
import { enforce, errorHandler, getAuth, protect, protectedResourceMetadata } from 'oauth-resource-server/express'
import { authInfo, toolScopes } from 'oauth-resource-server/mcp'

const { ISSUER = 'https://as.example.com', RESOURCE = 'https://mcp.example.com', PORT = '3000' } = process.env

const api = resourceServer({ resource: RESOURCE, issuers: [ISSUER] })
const checksOf = toolScopes({
  whoami: [],
  write_note: ['mcp', 'notes:write'] // name all scopes: a client asks for those in the challenge
})

function createServer() {
  const server = new McpServer({ name: 'notes', version: '1.0.0' })
  server.registerTool('whoami', { description: 'Names the caller' }, ({ authInfo }) => ({
    content: [{ type: 'text', text: String(authInfo?.extra?.['subject']) }]
  }))
  server.registerTool('write_note', { description: 'Writes a note' }, () => ({
    content: [{ type: 'text', text: 'written' }]
  }))
  return server
}

const app = express()
app.use(protectedResourceMetadata(api))
app.post('/', protect(api, scope('mcp')), express.json(), async (req, res) => {
  await enforce(api, req, ...checksOf(req.body))
  const transport = new StreamableHTTPServerTransport({ enableJsonResponse: true })
  const server = createServer()
  res.once('close', () => void server.close())
  // The SDK's types of optional members do not pass TypeScript's strictest setting.
  await server.connect(/** @type {any} */ (transport))
  await transport.handleRequest(Object.assign(req, { auth: authInfo(api, getAuth(req)) }), res, req.body)
})
// There is no stream to listen on. A client that sends GET or HEAD without a token still gets the challenge.
app.all('/', protect(api, scope('mcp')), (_req, res) => void res.status(405).set('Allow', 'POST').end())
app.use(errorHandler())

const server = app.listen(Number(PORT), () => console.log(`MCP: http://localhost:${PORT}/`))
api.ready().catch((error) => console.error(error.message))
process.once('SIGTERM', () => server.close(() => api.close()))
