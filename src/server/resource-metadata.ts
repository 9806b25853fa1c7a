/**
 * The members of the RFC 9728 metadata that follow from what a server and its routes do, so that nobody has to keep them
 * true by hand.
 *
 * Does NOT render or serve the document: see `protected-resource.ts`.
 */
import type { SenderSettings } from '../confirmation/settings.js'
import { publicKeySet } from '../jwt/decryption-keys.js'
import type { Policy } from '../policy/policy.js'
import type { Awaitable } from '../types.js'
import { createProtectedResourceMetadata, type ProtectedResourceMetadata } from './protected-resource.js'
import type { Settings } from './settings.js'

export interface ResourceMetadata {
  /** undefined with `metadata: false`. */
  readonly metadata: ProtectedResourceMetadata | undefined
  /** A route with this policy exists: what it needs is advertised. */
  readonly add: (policy: Policy) => void
}

/** @param authorizationServer what the first issuer publishes about itself */
export function createResourceMetadata(
  { resource, issuers, metadata, legacyClients, sender, decryptionKeys }: Settings,
  authorizationServer: () => Awaitable<object>
): ResourceMetadata {
  const scopes = new Set<string>()
  const detailsTypes = new Set<string>()
  return {
    metadata:
      metadata === false
        ? undefined
        : createProtectedResourceMetadata({
            resource,
            authorizationServers: typeof issuers === 'function' ? [] : issuers.map(({ issuer }) => issuer),
            derived: () => ({
              scopes_supported: [...scopes],
              authorization_details_types_supported: [...detailsTypes],
              ...senderMetadata(sender)
            }),
            members: metadata,
            jwks: decryptionKeys.length > 0 ? publicKeySet(decryptionKeys) : undefined,
            authorizationServer: legacyClients ? authorizationServer : undefined
          }),
    add: ({ checks }) => {
      for (const { scopes: needed = [], authorizationDetailsTypes = [] } of checks) {
        for (const scope of needed) scopes.add(scope)
        for (const type of authorizationDetailsTypes) detailsTypes.add(type)
      }
    }
  }
}

/** What RFC 9728 §2 lets a server say about senders. */
function senderMetadata({
  accepted,
  advertised,
  dpop,
  requireBound
}: SenderSettings): Readonly<Record<string, unknown>> {
  return {
    // An empty list would say it too, which RFC 9728 §3.2 forbids where §2 allows it.
    ...(accepted.includes('Bearer') && { bearer_methods_supported: ['header'] }),
    ...(advertised.includes('DPoP') && { dpop_signing_alg_values_supported: dpop.algorithms }),
    ...(requireBound === 'dpop' && { dpop_bound_access_tokens_required: true }),
    ...(requireBound === 'certificate' && { tls_client_certificate_bound_access_tokens: true })
  }
}
