/** Every target by its name, which is also that of its corpus. */

import { introspection, jwks, metadata, signedIntrospection, statusList } from './documents.js'
import { logoutTokens, securityEvents } from './events.js'
import { authorization, certificate, dpop } from './requests.js'
import { resolvers } from './resolvers.js'
import type { Target } from './target.js'

export interface Entry {
  readonly start: () => Target | Promise<Target>
  /** Bytes beyond ASCII make it an outage, after which another attempt is waited for: few of them do. */
  readonly isDocument: boolean
}

const request = (start: Entry['start']): Entry => ({ start, isDocument: false })
const document = (start: Entry['start']): Entry => ({ start, isDocument: true })

export const TARGETS: Readonly<Record<string, Entry>> = {
  authorization: request(() => authorization()),
  legacy: request(() => authorization('legacy')),
  dpop: request(dpop),
  certificate: request(certificate),
  resolvers: request(resolvers),
  jwks: document(jwks),
  metadata: document(metadata),
  introspection: document(introspection),
  'signed-introspection': document(signedIntrospection),
  'status-list': document(statusList),
  'security-event': request(securityEvents),
  'logout-token': request(logoutTokens)
}
