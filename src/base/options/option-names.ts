/**
 * Where an option is written: every option of `resourceServer()` by its place, and the names that people bring from
 * other packages. Data only: `suggestions.ts` makes sentences of it.
 *
 * Tests: `test/base/options/option-names.test.ts` pastes every line of code.
 */

/** A place of options: a member of `resourceServer()`'s options, or one within another. */
export interface Place {
  /** The place in a sentence. */
  readonly name: string
  /** The code that leads to the place; `…` stands for its members. */
  readonly code: string
  /** Members without which the place is not valid: their code by name. */
  readonly needs: Readonly<Record<string, string>>
  /** An example value of each option, as code. */
  readonly options: Readonly<Record<string, string>>
}

const ISSUER = "'https://as.example.com'"
const IN_ISSUER = `issuers: [{ issuer: ${ISSUER}, … }]`

/**
 * Places by their paths, where `[]` stands for an index. A name that several places have belongs to the first of them.
 */
export const PLACES: Readonly<Record<string, Place>> = {
  '': {
    name: 'resourceServer()',
    code: '…',
    needs: {},
    options: {
      resource: "'https://api.example.com'",
      issuers: `[${ISSUER}]`,
      scopes: "['orders:read', 'orders:write']",
      roles: "['clerk', 'admin']",
      scopeHierarchy: "{ 'orders:write': ['orders:read'] }",
      checks: "[claims((claims) => claims.tenant === 'acme')]",
      clockTolerance: '30',
      now: '() => Date.now() / 1000',
      realm: "'orders'",
      metadata: "{ resource_name: 'Orders' }",
      legacyClients: 'true',
      rejectQueryToken: 'true',
      maxTokenLength: '16384',
      http: '{ timeout: 3 }',
      dpop: '{ advertise: true }',
      publicUrl: "'https://api.example.com'",
      clientCertificate: "{ trustedProxies: ['10.0.0.7'] }",
      requireSenderConstrained: "'dpop'",
      callbackTimeout: '5',
      decryptionKeys: "[{ key: createPrivateKey(pem), kid: '1' }]",
      revocation: '{ keepFor: 3600 }',
      shared: '{ store: redisStore(client), secret: sharedSecret }',
      log: 'false'
    }
  },
  'issuers[]': {
    name: 'an issuer',
    code: 'issuers: [{ … }]',
    needs: { issuer: ISSUER },
    options: {
      issuer: ISSUER,
      audience: "'orders'",
      tokenProfile: "'legacy'",
      algorithms: "['RS256']",
      jwks: '{ keys: [publicJwk] }',
      jwksUri: "'https://as.example.com/jwks'",
      jwksAuth: "{ tokenFile: '/run/secrets/jwks-token' }, jwksUri: 'https://as.example.com/jwks'",
      metadataUrl: "'https://as.example.com/.well-known/openid-configuration'",
      expectedMetadataIssuer: "'https://as.example.com/common'",
      reachedAt: "'https://keycloak.internal:8443'",
      acceptedIssuers: "['https://old.example.com']",
      introspection: "{ clientId: 'orders-api', auth: clientSecretBasic(clientSecret) }",
      tokens: "'jwt'",
      scopeClaim: "'permissions'",
      rolesClaim: "'roles'",
      clientIdClaim: "'azp'",
      requiredClaims: "['sub', 'client_id']",
      audienceClaim: "'client_id'",
      requiredClaimValues: "{ token_use: 'access' }",
      requireEncrypted: 'false',
      statusList: "{ onUnavailable: 'refuse' }"
    }
  },
  'issuers[].introspection': {
    name: '`introspection` of an issuer',
    code: IN_ISSUER.replace('…', 'introspection: { … }'),
    needs: { auth: 'clientSecretBasic(clientSecret)' },
    options: {
      endpoint: "'https://as.example.com/introspect'",
      clientId: "'orders-api'",
      auth: "clientSecretBasic(clientSecret), clientId: 'orders-api'",
      cacheFor: '30',
      allowMissingAudience: 'true',
      tokenPrefix: "'ory_at_'",
      signedResponse: 'true',
      responseAudience: "'orders-api', signedResponse: true",
      dialect: '{ form: (token) => ({ token }), read: (status, body) => body.claims }'
    }
  },
  'issuers[].statusList': {
    name: '`statusList` of an issuer',
    code: IN_ISSUER.replace('…', 'statusList: { … }'),
    needs: {},
    options: { origins: "['https://status.example.com']", onUnavailable: "'refuse'" }
  },
  'issuers[].jwksAuth': {
    name: '`jwksAuth` of an issuer',
    code: IN_ISSUER.replace('…', "jwksUri: 'https://as.example.com/jwks', jwksAuth: { … }"),
    needs: {},
    options: { tokenFile: "'/run/secrets/jwks-token'" }
  },
  http: {
    name: '`http`',
    code: 'http: { … }',
    needs: {},
    options: {
      dispatcher: 'new Agent({ connect: { ca } })',
      timeout: '3',
      deadline: '5',
      publicAddressesOnly: 'true',
      insecureHosts: "['keycloak:8080']",
      proxy: "'http://proxy.internal:3128'"
    }
  },
  dpop: {
    name: '`dpop`',
    code: 'dpop: { … }',
    needs: {},
    options: {
      advertise: 'true',
      algorithms: "['ES256']",
      proofLifetime: '60',
      nonces: "'required'",
      nonceSecret: 'sharedSecret',
      replayStore: 'redisStore(client)'
    }
  },
  clientCertificate: {
    name: '`clientCertificate`',
    code: 'clientCertificate: { … }',
    needs: { trustedProxies: "['10.0.0.7']" },
    options: { trustedProxies: "['10.0.0.7']", field: "'X-Client-Cert'", parse: 'urlEncodedPem' }
  },
  'decryptionKeys[]': {
    name: 'a key in `decryptionKeys`',
    code: 'decryptionKeys: [{ … }]',
    needs: { key: 'createPrivateKey(pem)', kid: "'1'" },
    options: { key: 'createPrivateKey(pem)', kid: "'1'", algorithm: "'RSA-OAEP-256'" }
  },
  revocation: {
    name: '`revocation`',
    code: 'revocation: { … }',
    needs: {},
    options: { keepFor: '3600', maxEntries: '100000', onUnavailable: "'allow'" }
  },
  shared: {
    name: '`shared`',
    code: 'shared: { … }',
    needs: { store: 'redisStore(client)', secret: 'sharedSecret' },
    options: {
      store: 'redisStore(client)',
      secret: 'sharedSecret',
      log: 'redisLog(client)'
    }
  }
}

/** A name that was an option of this package once: its path, and the line that takes its place. */
export const FORMER: Readonly<Record<string, string>> = {
  requireCertificateBound: "requireSenderConstrained: 'certificate'",
  'shared.channel': 'log: redisLog(client), which also keeps the revocations',
  'dpop.required': "requireSenderConstrained: 'dpop', beside `dpop`",
  'issuers[].profile': "tokenProfile: 'rfc9068' or tokenProfile: 'legacy'"
}

/** The counterpart of a name from another package: code, or a reason why there is none, or both. */
export interface Counterpart {
  /** Members of `resourceServer()`'s options. */
  readonly write?: string
  /** A statement or an expression, elsewhere than in the options. */
  readonly call?: string
  /** One fact more. */
  readonly why?: string
}

const TRUSTED = { write: `issuers: [${ISSUER}]` }
const AUDIENCE = { write: IN_ISSUER.replace('…', "audience: 'orders'"), why: 'the default is `resource`' }
const JWKS_URI = {
  write: IN_ISSUER.replace('…', "jwksUri: 'https://as.example.com/jwks'"),
  why: 'without it, the metadata of the issuer name the keys'
}
const INLINE_KEYS = { write: IN_ISSUER.replace('…', 'jwks: { keys: [publicJwk] }'), why: 'public keys as JWKs' }
const ISSUER_KEYS = { ...TRUSTED, why: 'its public keys verify tokens; a shared secret, as for HS256, never does' }
const CACHE_FOR = {
  write: IN_ISSUER.replace('…', 'introspection: { auth: clientSecretBasic(clientSecret), cacheFor: 30 }'),
  why: 'seconds'
}
const OPTIONAL = { call: 'protect(api, optional)', why: 'on routes that accept requests without a token' }
const SCOPES = { call: "protect(api, scope('orders:read'))", why: 'on each route' }
const CLAIM = { write: "checks: [claims((claims) => claims.sub === 'user-1')]", why: 'or on one route' }
const ACCESS = { call: 'getAuth(req)', why: 'it returns the access that `protect` granted' }
const BODY = { call: 'errorHandler({ body: ({ status, reason }) => ({ status, reason }) })' }
const LOG = { call: 'logTo(logger)', why: 'from oauth-resource-server/log' }
const TOKEN_PLACE = {
  why: 'leave it out: a token is read from the Authorization field only, and middleware before `protect` can move it there'
}
const BUILT_IN = {
  why: 'leave it out: keys and verified tokens are cached, and requests for keys are limited, without options'
}
const EXPIRY = { write: 'clockTolerance: 30', why: 'seconds of leeway; times are always checked' }
const TIMEOUT = { write: 'http: { timeout: 3 }', why: 'seconds, not milliseconds' }
const AGENT = { write: 'http: { dispatcher: new Agent({ connect: { ca } }) }', why: 'with the Agent of undici' }
const CERTIFICATE = {
  write: "requireSenderConstrained: 'certificate'",
  why: 'tokens bound to a client certificate are confirmed without it'
}
const METADATA = {
  call: 'app.use(protectedResourceMetadata(api))',
  why: '`resource` and `metadata` decide the document'
}
const VERIFIES_ONLY = { why: 'leave it out: this package verifies tokens and does not sign them' }
const PROFILE = {
  write: IN_ISSUER.replace('…', "tokenProfile: 'rfc9068'"),
  why: "the default; 'legacy' also accepts the `typ` JWT"
}
const UNPACK = { why: 'write its members one by one: each has a place of its own' }

/**
 * Names from other packages: every option of express-oauth2-jwt-bearer, express-jwt with jsonwebtoken, jwks-rsa,
 * passport-jwt, koa-jwt, @fastify/jwt with get-jwks, and the MCP SDK's middleware; and a few that are guessed often.
 * A path before a name limits it to one place.
 */
export const COUNTERPARTS: Readonly<Record<string, Counterpart>> = {
  // Issuers and audiences.
  issuerBaseURL: { ...TRUSTED, why: 'exactly the `iss` of the tokens, with or without a trailing slash' },
  issuersWhitelist: TRUSTED,
  allowedIss: TRUSTED,
  allowedIssuers: TRUSTED,
  authorizationServers: TRUSTED,
  mcd: TRUSTED,
  providerDiscovery: { ...TRUSTED, why: 'its metadata are always looked up' },
  audience: AUDIENCE,
  audiences: AUDIENCE,
  allowedAud: AUDIENCE,
  allowedAudiences: AUDIENCE,
  expectedResource: AUDIENCE,
  resourceServerUrl: { write: "resource: 'https://api.example.com'" },
  // Keys and algorithms.
  jwksUri: JWKS_URI,
  jwksUrl: JWKS_URI,
  jwksPath: JWKS_URI,
  fetcher: INLINE_KEYS,
  getKeysInterceptor: INLINE_KEYS,
  publicKey: INLINE_KEYS,
  secret: ISSUER_KEYS,
  secretOrKey: ISSUER_KEYS,
  secretOrKeyProvider: ISSUER_KEYS,
  trusted: ISSUER_KEYS,
  key: { write: INLINE_KEYS.write, why: 'public keys as JWKs; the claims are in `getAuth(req).claims`' },
  tokenSigningAlg: { write: IN_ISSUER.replace('…', "algorithms: ['RS256']") },
  allowInvalidAsymmetricKeyTypes: { why: 'leave it out: a key must fit its algorithm' },
  allowedCritHeaders: { why: 'leave it out: a token with `crit` is refused (RFC 7515 §4.1.11)' },
  handleSigningKeyError: { ...LOG, why: 'clients get 503 while keys are unavailable' },
  // The client for introspection.
  clientSecret: {
    write: IN_ISSUER.replace('…', "introspection: { clientId: 'orders-api', auth: clientSecretBasic(clientSecret) }"),
    why: 'only introspection needs it'
  },
  introspectionEndpoint: {
    write: IN_ISSUER.replace(
      '…',
      "introspection: { endpoint: 'https://as.example.com/introspect', clientId: 'orders-api', auth: clientSecretBasic(clientSecret) }"
    )
  },
  introspectionUrl: {
    write: IN_ISSUER.replace(
      '…',
      "introspection: { endpoint: 'https://as.example.com/introspect', clientId: 'orders-api', auth: clientSecretBasic(clientSecret) }"
    )
  },
  'issuers[].introspection.cacheTTL': CACHE_FOR,
  'issuers[].introspection.cacheMaxAge': CACHE_FOR,
  // Keys for decryption, as generateKeyPairSync() names them.
  'decryptionKeys[].privateKey': { write: "decryptionKeys: [{ key: createPrivateKey(pem), kid: '1' }]" },
  'decryptionKeys[].publicKey': { why: 'leave it out: it is derived from `key`' },
  // Requirements of a route.
  authRequired: OPTIONAL,
  credentialsRequired: OPTIONAL,
  passthrough: OPTIONAL,
  requiredScopes: SCOPES,
  scopesSupported: { write: "scopes: ['orders:read', 'orders:write']" },
  validators: CLAIM,
  subject: CLAIM,
  allowedSub: CLAIM,
  jwtid: CLAIM,
  allowedJti: CLAIM,
  nonce: CLAIM,
  allowedNonce: CLAIM,
  maxAge: {
    call: 'protect(api, authentication({ maxAge: 300 }))',
    why: 'seconds since the user authenticated (RFC 9470)'
  },
  maxTokenAge: { write: 'checks: [claims(({ iat }) => Number(iat) > Date.now() / 1000 - 3600)]' },
  isRevoked: {
    call: "api.revoke({ issuer: 'https://as.example.com', jti: tokenId })",
    why: 'when a token is revoked; or fresh() on a route, which asks the issuer on each request'
  },
  // Times.
  clockSkew: { write: 'clockTolerance: 30', why: 'seconds' },
  leeway: { write: 'clockTolerance: 30', why: 'seconds' },
  clockTimestamp: { write: 'now: () => Date.now() / 1000' },
  ignoreExpiration: EXPIRY,
  ignoreNotBefore: EXPIRY,
  // Where a token is, and what a request gets.
  getToken: TOKEN_PLACE,
  jwtFromRequest: TOKEN_PLACE,
  extractToken: TOKEN_PLACE,
  cookie: TOKEN_PLACE,
  onlyCookie: TOKEN_PLACE,
  complete: ACCESS,
  requestProperty: ACCESS,
  userProperty: ACCESS,
  tokenKey: ACCESS,
  formatUser: ACCESS,
  decoratorName: ACCESS,
  namespace: ACCESS,
  jwtDecode: ACCESS,
  jwtVerify: ACCESS,
  passReqToCallback: ACCESS,
  jwtSign: VERIFIES_ONLY,
  sign: VERIFIES_ONLY,
  // The form of a token.
  strict: PROFILE,
  checkTyp: PROFILE,
  decode: { why: 'leave it out: the claims are in `getAuth(req).claims`' },
  verify: UNPACK,
  jsonWebTokenOptions: UNPACK,
  // Answers and logs.
  onExpired: BODY,
  messages: BODY,
  debug: LOG,
  logger: LOG,
  onStaleCacheFallback: LOG,
  // Requests for keys.
  agent: AGENT,
  requestAgent: AGENT,
  timeout: TIMEOUT,
  timeoutDuration: TIMEOUT,
  requestHeaders: {
    write: IN_ISSUER.replace('…', "jwksUri: 'https://as.example.com/jwks', jwksAuth: () => ({ 'X-Key': apiKey })")
  },
  fetchOptions: AGENT,
  cache: BUILT_IN,
  cacheMaxAge: BUILT_IN,
  cacheMaxAgeFallback: BUILT_IN,
  cacheMaxEntries: BUILT_IN,
  cacheTTL: BUILT_IN,
  errorCacheTTL: BUILT_IN,
  cacheKeyBuilder: BUILT_IN,
  cooldownDuration: BUILT_IN,
  rateLimit: BUILT_IN,
  jwksRequestsPerMinute: BUILT_IN,
  max: BUILT_IN,
  ttl: BUILT_IN,
  // Tokens bound to a key.
  mtls: CERTIFICATE,
  getCertificate: { write: "clientCertificate: { trustedProxies: ['10.0.0.7'] }" },
  'dpop.enabled': { write: 'dpop: { advertise: true }', why: 'or `dpop: false`' },
  'dpop.iatOffset': { write: 'dpop: { proofLifetime: 60 }', why: 'seconds' },
  'dpop.iatLeeway': { why: 'leave it out: a proof may be 10 seconds ahead' },
  // The MCP SDK.
  verifier: {
    call: "app.use('/mcp', protect(api, scope('mcp')))",
    why: 'or keep the middleware of the SDK, with tokenVerifier() as its verifier'
  },
  resourceMetadataUrl: METADATA,
  oauthMetadata: METADATA,
  serviceDocumentationUrl: { write: "metadata: { resource_documentation: 'https://docs.example.com' }" },
  resourceName: { write: "metadata: { resource_name: 'Orders' }" }
}
