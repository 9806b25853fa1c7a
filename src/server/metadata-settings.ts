/**
 * Reads the option `metadata`: checks and defaults (RFC 9728 §2).
 *
 * Tests: `test/rfc/rfc9728-metadata.test.ts`.
 */
import type { Problems } from '../base/options/problems.js'
import type { Settings } from './settings.js'

/** Members that follow from other options, so the user must not set them. */
const OWN_MEMBERS: Readonly<Record<string, string>> = {
  resource: 'it is the option `resource`',
  bearer_methods_supported: 'tokens are read from the Authorization field only',
  dpop_signing_alg_values_supported: 'it is the option `dpop.algorithms`',
  dpop_bound_access_tokens_required: 'it is the option `requireSenderConstrained`',
  tls_client_certificate_bound_access_tokens: 'it is the option `requireSenderConstrained`'
}

const LISTS = [
  'authorization_servers',
  'scopes_supported',
  'resource_signing_alg_values_supported',
  'authorization_details_types_supported'
]

const URLS = ['jwks_uri', 'resource_documentation', 'resource_policy_uri', 'resource_tos_uri']

export function readMetadata(metadata: unknown, problems: Problems): Settings['metadata'] {
  if (metadata === false) return false
  if (!problems.object(metadata, 'metadata')) return {}
  for (const [member, why] of Object.entries(OWN_MEMBERS)) {
    if (member in metadata) problems.add(`metadata.${member}`, 'cannot be set', why)
  }
  for (const member of LISTS) {
    if (member in metadata) problems.arrayOf(metadata[member], `metadata.${member}`, 'string')
  }
  for (const member of URLS) {
    if (member in metadata) problems.url(metadata[member], `metadata.${member}`, 'a URL (RFC 9728 §2)')
  }
  if ([metadata['resource_signing_alg_values_supported']].flat().includes('none')) {
    problems.add('metadata.resource_signing_alg_values_supported', 'must not hold `none` (RFC 9728 §2)', 'remove it')
  }
  if ('signed_metadata' in metadata) readSignedMetadata(metadata['signed_metadata'], problems)
  return Object.freeze({ ...metadata })
}

function readSignedMetadata(jwt: unknown, problems: Problems): void {
  const where = 'metadata.signed_metadata'
  try {
    const claims: unknown = JSON.parse(Buffer.from(String(jwt).split('.')[1] ?? '', 'base64url').toString())
    if (!problems.object(claims, where)) return
    if (typeof claims['iss'] !== 'string') problems.add(where, 'has no `iss` claim', 'RFC 9728 §2.2 requires it')
    if ('signed_metadata' in claims) problems.add(where, 'holds another `signed_metadata`', 'RFC 9728 §2.2 forbids it')
  } catch {
    problems.add(where, 'is not a JWT', 'give the compact serialization (RFC 9728 §2.2)')
  }
}
