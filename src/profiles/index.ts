/**
 * Vendor profiles: the differences of well-known authorization servers from RFC 9068 and RFC 7662, as plain options for
 * an entry of `issuers`. They are data only: spread a profile and override its options. A token or host name never
 * selects one; without a profile, the RFCs apply. Each profile throws a TypeError that lists all problems of its
 * parameters.
 *
 * Does NOT fetch anything. Does NOT make ID tokens, refresh tokens or other tenants' tokens acceptable: each profile
 * says what it still refuses. Needs of only some of a vendor's customers have no parameter; override the option.
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
