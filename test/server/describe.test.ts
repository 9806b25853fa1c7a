/** describe(): what a reviewer is shown of a server, and what nobody is. */
import { createSecretKey, generateKeyPairSync } from 'node:crypto'
import { describe, expect, test } from 'vitest'
import { clientSecretBasic, resourceServer } from '../../src/index.js'
import { issuerKey, keySet } from '../support/refusals.js'

const SECRET = 'a secret that nobody may read, of 32 characters'
const minimal = { resource: 'https://api.example.com', issuers: ['https://as.example.com'] }

describe('describe()', () => {
  test('names every default', () => {
    expect(resourceServer(minimal).describe()).toEqual({
      resource: 'https://api.example.com',
      metadataUrl: 'https://api.example.com/.well-known/oauth-protected-resource',
      clockTolerance: 30,
      legacyClients: false,
      log: 'process warnings',
      rejectQueryToken: false,
      callbackTimeout: 5,
      scopeHierarchy: {},
      checks: 0,
      schemes: { accepted: ['Bearer', 'DPoP'], advertised: ['Bearer'] },
      requireBound: 'nothing',
      publicUrls: ['https://api.example.com'],
      dpop: {
        algorithms: ['ES256', 'EdDSA', 'Ed25519', 'PS256', 'RS256'],
        proofLifetime: 60,
        nonces: 'off',
        nonceSecrets: 1
      },
      clientCertificate: 'TLS connection',
      revocation: { keepFor: 86_400, maxEntries: 100_000, onUnavailable: 'refuse' },
      decryptionKeys: [],
      http: {
        timeout: 3,
        deadline: 5,
        dispatcher: 'default',
        publicAddressesOnly: false,
        insecureHosts: [],
        proxy: 'none'
      },
      issuers: [
        {
          issuer: 'https://as.example.com',
          acceptedIssuers: ['https://as.example.com'],
          audience: ['https://api.example.com'],
          audienceClaim: 'aud',
          tokenProfile: 'rfc9068',
          algorithms: [
            'RS256',
            'RS384',
            'RS512',
            'PS256',
            'PS384',
            'PS512',
            'ES256',
            'ES384',
            'ES512',
            'EdDSA',
            'Ed25519'
          ],
          expectedMetadataIssuer: 'https://as.example.com',
          tokens: 'jwt',
          scopeClaims: ['scope', 'scp'],
          clientIdClaims: ['client_id'],
          requiredClaims: ['sub', 'client_id', 'iat', 'jti'],
          requiredClaimValues: {},
          requireEncrypted: false
        }
      ]
    })
  })

  test('names what was set, and shows no secret, key or function', () => {
    const { privateKey } = generateKeyPairSync('x25519')
    const description = resourceServer({
      ...minimal,
      issuers: [
        {
          issuer: 'https://as.example.com',
          audience: null,
          jwks: keySet(issuerKey),
          introspection: { clientId: 'orders', auth: clientSecretBasic(SECRET) },
          requiredClaimValues: { typ: ['Bearer', 'DPoP'] },
          scopeClaim: [['granted', 'scopes'], 'scope'],
          rolesClaim: { all: ['groups', ['realm_access', 'roles']] }
        }
      ],
      roles: ['admin'],
      checks: [() => undefined],
      dpop: { nonces: 'required', nonceSecret: [SECRET, `${SECRET}, the one before`] },
      publicUrl: ['https://api.example.com/v1/', 'https://API.example.net:443'],
      clientCertificate: { trustedProxies: ['10.0.0.0/8'] },
      requireSenderConstrained: 'certificate',
      decryptionKeys: [{ kid: 'e1', key: privateKey }],
      metadata: false
    }).describe()
    expect(description).toMatchObject({
      roles: ['admin'],
      checks: 1,
      schemes: { accepted: ['Bearer', 'DPoP'], advertised: ['Bearer'] },
      requireBound: 'certificate',
      publicUrls: ['https://api.example.com/v1', 'https://api.example.net'],
      dpop: { nonces: 'required', nonceSecrets: 2 },
      clientCertificate: { field: 'Client-Cert' },
      decryptionKeys: [{ kid: 'e1', algorithm: 'ECDH-ES+A256KW' }],
      issuers: [
        {
          audience: 'not checked',
          jwks: '1 keys',
          introspection: { clientId: 'orders', auth: 'a function', cacheFor: 30 },
          scopeClaims: [['granted', 'scopes'], 'scope'],
          rolesClaims: { all: ['groups', ['realm_access', 'roles']] },
          requiredClaimValues: { typ: ['Bearer', 'DPoP'] }
        }
      ]
    })
    expect(description).not.toHaveProperty('metadataUrl')
    const text = JSON.stringify(description)
    expect(text).not.toContain(SECRET)
    for (const member of ['d', 'x']) expect(text).not.toContain(String(privateKey.export({ format: 'jwk' })[member]))
  })

  test('says which servers look at Bearer alone, or know their issuers by a function', () => {
    const description = resourceServer({ ...minimal, issuers: () => undefined, dpop: false }).describe()
    expect(description).toMatchObject({ schemes: { accepted: ['Bearer'] }, dpop: false, issuers: 'a function' })
  })

  test('is new each time: what a caller does to it reaches nobody', () => {
    const server = resourceServer(minimal)
    Object.assign(server.describe(), { resource: 'https://other.example' })
    expect(server.describe()).toMatchObject({ resource: 'https://api.example.com' })
  })

  test('a symmetric key is no decryption key', () => {
    const keys = [{ kid: 'e1', key: createSecretKey(Buffer.alloc(32)) }]
    expect(() => resourceServer({ ...minimal, decryptionKeys: keys })).toThrow(/decryptionKeys\[0\]\.key/)
  })
})
