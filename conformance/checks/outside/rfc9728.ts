/**
 * RFC 9728 from outside: where the metadata document is, what it says, and whether the API's challenge names it.
 *
 * Tests: `test/conformance/checks.test.ts`.
 */
import { challengesOf, fieldOf, parameterOf } from '../../challenge.js'
import type { Check, CheckContext, Metadata } from '../../check.js'
import { metadataUrlOf, objectOf } from '../../engine/detect.js'
import { rfc } from './judge.js'

type Run = (
  context: CheckContext,
  metadata: Metadata,
  document: Readonly<Record<string, unknown>>
) => Promise<void> | void

/** A check of the document: it does not apply where the document cannot be read, which one check says. */
function ofDocument(check: Omit<Check, 'run' | 'profile' | 'needs'>, run: Run): Check {
  return {
    ...check,
    profile: 'rfc9728',
    needs: ['metadata'],
    async run(context) {
      const { metadata } = context
      if (metadata?.document === undefined) return context.skip('the document is not a JSON object')
      await run(context, metadata, metadata.document)
    }
  }
}

/** The members of RFC 9728 §2 by type. */
const LISTS = [
  'authorization_servers',
  'scopes_supported',
  'bearer_methods_supported',
  'resource_signing_alg_values_supported',
  'authorization_details_types_supported',
  'dpop_signing_alg_values_supported'
]
const FLAGS = ['tls_client_certificate_bound_access_tokens', 'dpop_bound_access_tokens_required']
const URLS = ['jwks_uri', 'resource_documentation', 'resource_policy_uri', 'resource_tos_uri']

function wrongMember(document: Readonly<Record<string, unknown>>): string | undefined {
  for (const name of LISTS) {
    const value = document[name]
    if (value === undefined) continue
    if (!Array.isArray(value) || value.some((one) => typeof one !== 'string'))
      return `${name} is not an array of strings`
  }
  for (const name of FLAGS)
    if (document[name] !== undefined && typeof document[name] !== 'boolean') return `${name} is not true or false`
  for (const name of URLS) if (document[name] !== undefined && !isUrl(document[name])) return `${name} is not a URL`
  const methods = document['bearer_methods_supported'] as string[] | undefined
  const other = methods?.find((one) => !['header', 'body', 'query'].includes(one))
  if (other !== undefined) return `bearer_methods_supported has ${JSON.stringify(other.slice(0, 40))}`
  const isNone = (document['resource_signing_alg_values_supported'] as string[] | undefined)?.includes('none')
  if (isNone) return 'resource_signing_alg_values_supported has none'
  const proofs = document['dpop_signing_alg_values_supported'] as string[] | undefined
  const weak = proofs?.find((one) => /^(?:none|HS\d+)$/i.test(one))
  return weak === undefined ? undefined : `dpop_signing_alg_values_supported has ${weak}, which is not asymmetric`
}

const documents: readonly Check[] = [
  {
    id: 'rfc9728-response',
    title: 'The metadata is a JSON object with status 200 and type application/json.',
    profile: 'rfc9728',
    level: 'MUST',
    source: rfc(
      9728,
      '3.2',
      'A successful response MUST use the 200 OK HTTP status code and return a JSON object using the application/json content type'
    ),
    needs: ['metadata'],
    async run({ metadata, fail }) {
      if (metadata === undefined) return
      const { response, document, url } = metadata
      const type = fieldOf(response, 'content-type') ?? 'no Content-Type'
      if (response.status === 200 && document !== undefined && /^application\/json\s*(?:;|$)/i.test(type)) return
      fail({
        expected: `${url.href} answers 200 with a JSON object of type application/json.`,
        received: `Status ${response.status}, ${type}${document === undefined ? ', and not a JSON object' : ''}.`,
        change: 'Serve the document at that URL without a token, with Content-Type: application/json.'
      })
    }
  },
  ofDocument(
    {
      id: 'rfc9728-resource',
      title: 'The metadata has the member resource, an https URL without a fragment.',
      level: 'MUST',
      source: rfc(9728, '2', "REQUIRED. The protected resource's resource identifier, as defined in Section 1.2.")
    },
    ({ fail, isPrivate }, _metadata, { resource }) => {
      const url = typeof resource === 'string' && URL.canParse(resource) ? new URL(resource) : undefined
      const isRight = url !== undefined && !String(resource).includes('#') && (url.protocol === 'https:' || isPrivate)
      if (!isRight)
        fail({
          expected: 'resource is a URL that begins with https and has no fragment.',
          received: `resource is ${JSON.stringify(resource)?.slice(0, 120) ?? 'missing'}.`,
          change: 'Set resource to the URL of the API, as clients write it.'
        })
    }
  ),
  ofDocument(
    {
      id: 'rfc9728-resource-covers',
      title: 'The resource of the metadata is the URL of the request, or a part of it up to a slash.',
      level: 'MUST',
      source: rfc(
        9728,
        '3.3',
        'the resource value returned MUST be identical to the URL that the client used to make the request to the resource server'
      )
    },
    ({ fail, url }, _metadata, { resource }) => {
      if (typeof resource === 'string' && URL.canParse(resource) && covers(new URL(resource), url)) return
      fail({
        expected: `resource is ${url.href} or a prefix of it. (The prefix is allowed by draft rfc9728bis.)`,
        received: `resource is ${JSON.stringify(resource)?.slice(0, 120)}.`,
        change:
          'Set resource to the URL that clients use, with the same host, port and path: clients refuse another one.'
      })
    }
  ),
  ofDocument(
    {
      id: 'rfc9728-resource-identical',
      title: 'The resource of the metadata that the challenge names is identical to the URL of the request.',
      level: 'hardening',
      source: rfc(
        9728,
        '3.3',
        'the resource value returned MUST be identical to the URL that the client used to make the request to the resource server'
      )
    },
    ({ fail, skip, url }, { isNamed }, { resource }) => {
      if (!isNamed) return skip('the challenge names no metadata on this origin')
      if (isSame(resource, url)) return
      fail({
        expected: `resource is ${url.href}.`,
        received: `resource is ${JSON.stringify(resource)?.slice(0, 120)}.`,
        change:
          'Strict clients refuse the document. Serve one document for each URL that clients use, or rely on draft rfc9728bis, which allows a prefix.'
      })
    }
  ),
  ofDocument(
    {
      id: 'rfc9728-place',
      title: 'The metadata is at the well-known place of its resource.',
      level: 'MUST',
      source: rfc(
        9728,
        '3',
        "Protected resources supporting metadata MUST make a JSON document containing metadata as specified in Section 2 available at a URL formed by inserting a well-known URI string into the protected resource's resource identifier between the host component and the path and/or query components, if any."
      )
    },
    async ({ fail, skip, send, url }, _metadata, { resource }) => {
      if (typeof resource !== 'string' || !URL.canParse(resource)) return skip('resource is not a URL')
      const place = metadataUrlOf(new URL(resource))
      if (place.origin !== url.origin) return skip(`the suite sends no request to another origin (${place.origin})`)
      const response = await send({ target: `${place.pathname}${place.search}` })
      const found = objectOf(response.body)?.['resource']
      if (response.status === 200 && found === resource) return
      fail({
        expected: `${place.href} answers 200 with "resource": ${JSON.stringify(resource)}.`,
        received:
          response.status === 200
            ? `resource is ${JSON.stringify(found)?.slice(0, 120)}.`
            : `Status ${response.status}.`,
        change: 'Serve the document there too: clients that have only the URL of the API look there.'
      })
    }
  ),
  ofDocument(
    {
      id: 'rfc9728-well-known-identical',
      title: 'A document at the well-known place of the URL names that URL as its resource.',
      level: 'MUST',
      source: rfc(
        9728,
        '3.3',
        "The resource value returned MUST be identical to the protected resource's resource identifier value into which the well-known URI path suffix was inserted to create the URL used to retrieve the metadata."
      )
    },
    async ({ fail, skip, send, url }) => {
      const place = metadataUrlOf(url)
      const response = await send({ target: `${place.pathname}${place.search}` })
      const found = objectOf(response.body)?.['resource']
      if (response.status !== 200 || found === undefined)
        return skip('there is no document at the well-known place of this URL')
      if (isSame(found, url)) return
      fail({
        expected: `${place.href} has "resource": ${JSON.stringify(url.href)}, or answers 404.`,
        received: `resource is ${JSON.stringify(found).slice(0, 120)}.`,
        change:
          'Answer 404 at paths that are not the well-known place of a resource, or name the resource of that path.'
      })
    }
  ),
  ofDocument(
    {
      id: 'rfc9728-empty-members',
      title: 'Members without values are left out.',
      level: 'MUST',
      source: rfc(9728, '3.2', 'Parameters with zero values MUST be omitted from the response.')
    },
    ({ fail }, _metadata, document) => {
      // RFC 9728 §2 gives the empty list of bearer methods a meaning.
      const empty = LISTS.find((name) => name !== 'bearer_methods_supported' && isEmpty(document[name]))
      if (empty === undefined) return
      fail({
        expected: 'No member is an empty array.',
        received: `${empty} is [].`,
        change: `Leave ${empty} out.`
      })
    }
  ),
  ofDocument(
    {
      id: 'rfc9728-member-types',
      title: 'The members have the types and values of the registry.',
      level: 'MUST',
      source: rfc(
        9728,
        '3.2',
        'return a JSON object using the application/json content type that contains a set of metadata parameters as its members that are a subset of the metadata parameters defined in Section 2'
      )
    },
    ({ fail }, _metadata, document) => {
      const wrong = wrongMember(document)
      if (wrong === undefined) return
      fail({
        expected: 'Each member has the type of RFC 9728 §2.',
        received: `${wrong}.`,
        change: 'Correct or remove the member.'
      })
    }
  ),
  ofDocument(
    {
      id: 'rfc9728-authorization-servers',
      title: 'The authorization servers are issuer identifiers: https URLs without query and fragment.',
      level: 'MUST',
      source: rfc(
        8414,
        '2',
        'REQUIRED. The authorization server\'s issuer identifier, which is a URL that uses the "https" scheme and has no query or fragment components.'
      )
    },
    ({ fail, skip, isPrivate }, _metadata, document) => {
      const servers = document['authorization_servers']
      if (!Array.isArray(servers)) return skip('the document names no authorization servers')
      const wrong = servers.find((one) => !isIssuer(one, isPrivate))
      if (wrong === undefined) return
      fail({
        expected: 'Each authorization server is an https URL without query and fragment.',
        received: `${JSON.stringify(wrong).slice(0, 120)}.`,
        change: 'Write the issuer as the authorization server itself does in its metadata.'
      })
    }
  )
]

const around: readonly Check[] = [
  {
    id: 'rfc9728-challenge',
    title: 'The challenge names the metadata by an absolute URL.',
    profile: 'rfc9728',
    level: 'hardening',
    source: rfc(9728, '5.1', 'The URL of the protected resource metadata.'),
    needs: ['metadata'],
    async run({ probe, fail }) {
      const values = challengesOf(probe).challenges.map((one) => parameterOf(one, 'resource_metadata'))
      if (values.some((value) => value !== undefined && URL.canParse(value))) return
      fail({
        expected: 'resource_metadata="https://…" in the challenge of a 401.',
        received: `The challenge has ${values.find(Boolean) ?? 'no resource_metadata'}.`,
        change: 'Add resource_metadata with the absolute URL of the document.'
      })
    }
  },
  {
    id: 'rfc9728-cors',
    title: 'A page of any origin can read the metadata.',
    profile: 'hardening',
    level: 'hardening',
    needs: ['metadata'],
    async run({ send, metadata, fail }) {
      const response = await send({
        target: `${metadata?.url.pathname}${metadata?.url.search}`,
        fields: [['Origin', 'https://conformance.invalid']]
      })
      const allowed = fieldOf(response, 'access-control-allow-origin')
      if (allowed === '*' || allowed === 'https://conformance.invalid') return
      fail({
        expected: 'Access-Control-Allow-Origin: *.',
        received: allowed === undefined ? 'No such field.' : `Access-Control-Allow-Origin: ${allowed}.`,
        change: 'Allow every origin: the document is public, and clients in a browser must read it.'
      })
    }
  },
  {
    id: 'rfc9728-head',
    title: 'HEAD of the metadata is answered as GET is.',
    profile: 'hardening',
    level: 'hardening',
    source: rfc(9110, '9.1', 'All general-purpose servers MUST support the methods GET and HEAD.'),
    needs: ['metadata'],
    async run({ send, metadata, fail }) {
      const response = await send({ method: 'HEAD', target: `${metadata?.url.pathname}${metadata?.url.search}` })
      if (response.status === metadata?.response.status) return
      fail({
        expected: `HEAD answers ${metadata?.response.status}.`,
        received: `HEAD answers ${response.status}.`,
        change: 'Serve HEAD where GET is served.'
      })
    }
  }
]

export const rfc9728Checks: readonly Check[] = [...documents, ...around]

/** True if the resource is on the same origin, and its path is that of the URL or a prefix of it up to a slash. */
function covers(resource: URL, url: URL): boolean {
  if (resource.origin !== url.origin) return false
  if (resource.search !== '') return resource.pathname === url.pathname && resource.search === url.search
  const prefix = resource.pathname.replace(/\/$/, '')
  return url.pathname === resource.pathname || url.pathname === prefix || url.pathname.startsWith(`${prefix}/`)
}

/** The parser of URLs adds the slash of an empty path. */
function isSame(resource: unknown, url: URL): boolean {
  return typeof resource === 'string' && (resource === url.href || `${resource}/` === url.href)
}

function isUrl(value: unknown): boolean {
  return typeof value === 'string' && URL.canParse(value)
}

function isEmpty(value: unknown): boolean {
  return Array.isArray(value) && value.length === 0
}

function isIssuer(value: unknown, isPrivate: boolean): boolean {
  if (typeof value !== 'string' || !URL.canParse(value) || /[?#]/.test(value)) return false
  return value.startsWith('https://') || isPrivate
}
