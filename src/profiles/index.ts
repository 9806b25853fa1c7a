/**
 * Vendor profiles: where well-known authorization servers differ from RFC 9068 and RFC 7662, as plain options for an
 * entry of `issuers`. Nothing but data: spread one and write over it what differs. None is ever chosen by a token or a
 * host name; without one, the RFCs hold. Each throws a TypeError that lists every problem of its parameters.
 *
 * Does NOT fetch anything, and does NOT make ID tokens, refresh tokens or other tenants' tokens acceptable: each says
 * what it still refuses. What only some customers of a vendor want is not a parameter, but an option to override.
 */

export { fapi2 } from './fapi2.js'
export { auth0 } from './hosted/auth0.js'
export { clerk } from './hosted/clerk.js'
export { cognito } from './hosted/cognito.js'
export { entra } from './hosted/entra.js'
export { firebase } from './hosted/firebase.js'
export { google } from './hosted/google.js'
export { logto } from './hosted/logto.js'
export { okta } from './hosted/okta.js'
export { salesforce } from './hosted/salesforce.js'
export { supabase } from './hosted/supabase.js'
export { telnyx } from './hosted/telnyx.js'
export { workosAuthKit } from './hosted/workos-authkit.js'
export { mcp } from './mcp.js'
export { authentik } from './servers/authentik.js'
export { curity } from './servers/curity.js'
export { duende } from './servers/duende.js'
export { fusionAuth } from './servers/fusionauth.js'
export { hydra } from './servers/hydra.js'
export { keycloak } from './servers/keycloak.js'
export { pingAm } from './servers/pingam.js'
export { springAuthorizationServer } from './servers/spring.js'
export { wso2 } from './servers/wso2.js'
export { xsuaa } from './servers/xsuaa.js'
export { zitadel } from './servers/zitadel.js'
export { githubActions } from './workloads/github-actions.js'
export { kubernetes } from './workloads/kubernetes.js'
