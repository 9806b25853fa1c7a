/**
 * The Model Context Protocol from outside: what revisions 2025-06-18, 2025-11-25 and 2026-07-28 ask of a server's metadata and
 * challenges.
 *
 * Does NOT speak MCP: sessions and tools are left to the conformance project of MCP.
 *
 * Tests: `test/conformance/checks.test.ts`.
 */
import { challengesOf, fieldOf, parameterOf } from '../../challenge.js'
import type { Check, Source } from '../../check.js'
import { metadataUrlOf, objectOf } from '../../engine/detect.js'
import { told, UNKNOWN } from './judge.js'

const BASE = 'https://modelcontextprotocol.io/specification/2026-07-28/basic/authorization'

function mcp(section: string, quote: string, url: string = BASE): Source {
  return { name: 'MCP 2026-07-28', section, url, quote }
}

const DISCOVERY = `${BASE}/authorization-server-discovery`

export const mcpChecks: readonly Check[] = [
  {
    id: 'mcp-metadata',
    title: 'The MCP server serves protected resource metadata.',
    profile: 'mcp',
    level: 'MUST',
    source: mcp('Overview', 'MCP servers MUST implement OAuth 2.0 Protected Resource Metadata (RFC9728).', BASE),
    async run({ metadata, url, fail }) {
      if (metadata?.response.status === 200 && metadata.document !== undefined) return
      fail({
        expected: `A JSON document at the URL that the challenge names, or at ${metadataUrlOf(url).href}.`,
        received: metadata === undefined ? 'No document.' : `Status ${metadata.response.status}.`,
        change: 'Serve the document of RFC 9728 without a token.'
      })
    }
  },
  {
    id: 'mcp-authorization-servers',
    title: 'The metadata names at least one authorization server.',
    profile: 'mcp',
    level: 'MUST',
    source: mcp(
      'Authorization Server Location',
      'The Protected Resource Metadata document returned by the MCP server MUST include the authorization_servers field containing at least one authorization server.',
      DISCOVERY
    ),
    needs: ['metadata'],
    async run({ metadata, fail }) {
      const servers = metadata?.document?.['authorization_servers']
      if (Array.isArray(servers) && servers.some((one) => typeof one === 'string' && URL.canParse(one))) return
      fail({
        expected: 'authorization_servers has at least one URL.',
        received: `authorization_servers is ${JSON.stringify(servers)?.slice(0, 120) ?? 'missing'}.`,
        change: 'Add the issuer of the authorization server.'
      })
    }
  },
  {
    id: 'mcp-discovery',
    title: 'The challenge names the metadata, or the metadata is at a well-known place.',
    profile: 'mcp',
    level: 'MUST',
    also: ['SEP-985'],
    source: mcp(
      'Protected Resource Metadata Discovery Requirements',
      'MCP servers MUST implement one of the following discovery mechanisms to provide authorization server location information to MCP clients',
      DISCOVERY
    ),
    async run({ probe, send, url, fail }) {
      if (challengesOf(probe).challenges.some((one) => parameterOf(one, 'resource_metadata') !== undefined)) return
      for (const place of [metadataUrlOf(url), metadataUrlOf(new URL('/', url))]) {
        const response = await send({ target: `${place.pathname}${place.search}` })
        if (response.status === 200 && objectOf(response.body)?.['resource'] !== undefined) return
      }
      fail({
        expected: 'resource_metadata in the challenge, or a document at a well-known place.',
        received: `Neither: ${told(probe)}.`,
        change: 'Add resource_metadata to the challenge: revision 2025-06-18 requires it.'
      })
    }
  },
  {
    id: 'mcp-invalid-token',
    title: 'An invalid token is answered with 401.',
    profile: 'mcp',
    level: 'MUST',
    source: mcp('Token Handling', 'Invalid or expired tokens MUST receive a HTTP 401 response.', BASE),
    async run({ send, fail }) {
      const response = await send({ token: UNKNOWN })
      if (response.status === 401) return
      fail({
        expected: 'Status 401.',
        received: `The server answers ${told(response)}.`,
        change: 'Check the token before the method and the session, and answer 401.'
      })
    }
  },
  {
    id: 'mcp-challenge-scope',
    title: 'The challenge names the scopes that the request needs.',
    profile: 'mcp',
    level: 'SHOULD',
    also: ['SEP-835'],
    source: mcp(
      'Scope Selection Strategy',
      'MCP servers SHOULD include a scope parameter in the WWW-Authenticate header as defined in RFC 6750 Section 3',
      DISCOVERY
    ),
    async run({ probe, metadata, fail, skip }) {
      if (challengesOf(probe).challenges.some((one) => parameterOf(one, 'scope') !== undefined)) return
      if (metadata?.document?.['scopes_supported'] === undefined) skip('the metadata names no scopes')
      fail({
        expected: 'scope="…" in the challenge.',
        received: `The server answers ${told(probe)}.`,
        change: 'Add the scopes of this request: without them clients ask for all in scopes_supported.'
      })
    }
  },
  {
    id: 'mcp-post-without-token',
    title: 'A POST without a token is refused with 401.',
    profile: 'mcp',
    level: 'MUST',
    source: mcp(
      'Access Token Usage',
      'authorization MUST be included in every HTTP request from client to server',
      BASE
    ),
    needs: ['methods'],
    async run({ send, fail }) {
      const response = await send({
        method: 'POST',
        fields: [
          ['Content-Type', 'application/json'],
          ['Accept', 'application/json, text/event-stream']
        ],
        body: '{"jsonrpc":"2.0","id":1,"method":"ping"}'
      })
      if (response.status === 401) return
      fail({
        expected: 'Status 401.',
        received: `The server answers ${told(response)}.`,
        change: 'Put the guard in front of all methods of the endpoint.'
      })
    }
  },
  {
    id: 'mcp-cors-challenge',
    title: 'A page that may call the server can read its challenge.',
    profile: 'mcp',
    level: 'hardening',
    async run({ send, fail, skip }) {
      const response = await send({ fields: [['Origin', 'https://conformance.invalid']] })
      if (fieldOf(response, 'access-control-allow-origin') === undefined) skip('the server allows no other origin')
      const exposed = fieldOf(response, 'access-control-expose-headers') ?? ''
      if (/\*|www-authenticate/i.test(exposed)) return
      fail({
        expected: 'Access-Control-Expose-Headers names WWW-Authenticate.',
        received: exposed === '' ? 'No such field.' : `Access-Control-Expose-Headers: ${exposed}.`,
        change: 'Expose WWW-Authenticate: clients in a browser cannot find the metadata otherwise.'
      })
    }
  }
]
