/** RFC 9449 (DPoP): a token that is bound to a key, the proof that its sender has that key, and the words of a refusal. */
import { createHash } from 'node:crypto'
import { describe, expect, test } from 'vitest'
import {
  type Access,
  authentication,
  type DpopOptions,
  fresh,
  memoryOnceStore,
  OwnerQuotaExceeded,
  optional,
  type Requirement,
  type ResourceRequest,
  type ResourceServer,
  type ResourceServerOptions,
  scope
} from '../../src/index.js'
import {
  ALGS,
  athOf,
  bindingRefused,
  bothSchemes,
  challengeOf,
  createDpopKey,
  type DpopKey,
  dpopInsufficient,
  dpopRefused,
  nonceRequired,
  PROOF_TEXTS,
  type Proof,
  proofRefused,
  replayUnavailable,
  thumbprintOf,
  unboundRefused
} from '../support/dpop.js'
import { createBed, introspecting } from '../support/exchange.js'
import { createClock, createSigningKey, signJws } from '../support/issuer.js'
import {
  accessToken,
  api,
  bearer,
  get,
  granted,
  ISSUER,
  missing,
  NOW,
  type Outcome,
  outcome,
  refusal,
  refused,
  validClaims
} from '../support/refusals.js'

const key = createDpopKey()
const token = accessToken({ claims: { cnf: { jkt: key.jkt } } })
/** What the replay store is told of whose the token is. */
const OWNER = createHash('sha256')
  .update(JSON.stringify([ISSUER, 'sub', validClaims.sub]))
  .digest('base64url')
  .slice(0, 22)
const METADATA_URL = 'https://api.example.com/.well-known/oauth-protected-resource'

interface Sent {
  readonly method?: string
  readonly url?: string
  readonly token?: string
  readonly fields?: Readonly<Record<string, string | readonly string[]>>
}

/** A request by the DPoP scheme with these lines of proof. */
function dpop(
  proof: string | readonly string[],
  { token: sent = token, fields, ...target }: Sent = {}
): ResourceRequest {
  return get({ authorization: `DPoP ${sent}`, dpop: proof, ...fields }, target)
}

/** What becomes of a request whose proof is right but for `flaw`. */
function withProof(server: ResourceServer, flaw: Proof = {}, sent: Sent = {}): Promise<Outcome> {
  return outcome(server, dpop(key.proof({ token: sent.token ?? token, ...flaw }), sent))
}

async function accessOf(server: ResourceServer, request: ResourceRequest, ...checks: Requirement[]): Promise<Access> {
  return (await server.authorize(request, ...checks)) as Access
}

/** The nonce that a server hands out. */
async function nonceOf(server: ResourceServer): Promise<string> {
  const error = await refusal(() => server.authorize(dpop(key.proof({ token }))))
  return String(error.headers['DPoP-Nonce'])
}

const reasonOf = async (server: ResourceServer, request: ResourceRequest): Promise<string> =>
  (await refusal(() => server.authorize(request))).reason

const silent = api()
const both = api({ dpop: { advertise: true } })
const strict = api({ requireSenderConstrained: 'dpop' })
const off = api({ dpop: false })

describe('RFC 9449: its examples', () => {
  const jwk = {
    kty: 'EC',
    x: 'l8tFrhx-34tV3hRICRDY9zCkDlpBhF42UQUfWVAWBFs',
    y: '9VE4jf_Ok_o64zbTTlcuNJajHmt6v9TDVrU0CdvGRDA',
    crv: 'P-256'
  }
  const jkt = '0ZcOCORZNYy-DWpqq30jZyJGHTN0d2HglBV3uiguA4I'
  const rfcToken = 'Kz~8mXK1EalYznwH-LC-1fBAo.4Ljp~zsPE_NeO.gxU'
  const header =
    'eyJ0eXAiOiJkcG9wK2p3dCIsImFsZyI6IkVTMjU2IiwiandrIjp7Imt0eSI6IkVDIiwieCI6Imw4dEZyaHgtMzR0VjNoUklDUkRZOXpDa0RscEJoRjQyVVFVZldWQVdCRnMiLCJ5IjoiOVZFNGpmX09rX282NHpiVFRsY3VOSmFqSG10NnY5VERWclUwQ2R2R1JEQSIsImNydiI6IlAtMjU2In19'
  /** §7.1, figure 12: the request to a protected resource. */
  const resourceProof = `${header}.eyJqdGkiOiJlMWozVl9iS2ljOC1MQUVCIiwiaHRtIjoiR0VUIiwiaHR1IjoiaHR0cHM6Ly9yZXNvdXJjZS5leGFtcGxlLm9yZy9wcm90ZWN0ZWRyZXNvdXJjZSIsImlhdCI6MTU2MjI2MjYxOCwiYXRoIjoiZlVIeU8ycjJaM0RaNTNFc05yV0JiMHhXWG9hTnk1OUlpS0NBcWtzbVFFbyJ9.2oW9RP35yRqzhrtNP86L-Ey71EOptxRimPPToA1plemAgR6pxHF8y6-yqyVnmcw6Fy1dqd-jfxSYoMxhAJpLjA`
  /** §4.1, figure 2, and §5, figure 6: requests to the token endpoint. */
  const tokenProof = `${header}.eyJqdGkiOiItQndDM0VTYzZhY2MybFRjIiwiaHRtIjoiUE9TVCIsImh0dSI6Imh0dHBzOi8vc2VydmVyLmV4YW1wbGUuY29tL3Rva2VuIiwiaWF0IjoxNTYyMjYyNjE2fQ.2-GxA6T8lP4vfrg8v-FdWP0A0zdrj8igiMLvqRMUvwnQg4PtFLbdLXiOSsX0x7NVY-FNyJK70nfbV37xRZT3Lg`
  const refreshProof = `${header}.eyJqdGkiOiItQndDM0VTYzZhY2MybFRjIiwiaHRtIjoiUE9TVCIsImh0dSI6Imh0dHBzOi8vc2VydmVyLmV4YW1wbGUuY29tL3Rva2VuIiwiaWF0IjoxNTYyMjY1Mjk2fQ.pAqut2IRDm_De6PR93SYmGBPXpwrAk90e8cP2hjiaG5QsGSuKDYW7_X620BxqhvYC8ynrrvZLTk41mSRroapUA`

  const bed = createBed()
  const at = 1_562_262_618

  /** The resource server of the examples: tokens are introspected, and the answer is that of §6.2. */
  async function resourceServer(now = at, options: Partial<ResourceServerOptions> = {}): Promise<ResourceServer> {
    const issuer = await bed.issuer({ now: () => now })
    issuer.opaque(
      { sub: 'someone@example.com', nbf: 1562262611, exp: 1562266216, cnf: { jkt }, token_type: undefined },
      rfcToken
    )
    return bed.api({
      resource: 'https://resource.example.org',
      issuers: [introspecting(issuer, {}, { audience: ['https://api.example.com'] })],
      now: () => now,
      dpop: { advertise: true },
      ...options
    })
  }
  const request = (proof: string, method = 'GET', url = '/protectedresource'): ResourceRequest =>
    get({ authorization: `DPoP ${rfcToken}`, dpop: proof }, { method, url })

  test('DPP-18 (RFC 9449 §6.1): computes the thumbprint of the example key', () => {
    expect(thumbprintOf(jwk)).toBe(jkt)
  })

  test('DPP-17 (RFC 9449 §7.1): computes ath of the example token', () => {
    expect(athOf(rfcToken)).toBe('fUHyO2r2Z3DZ53EsNrWBb0xWXoaNy59IiKCAqksmQEo')
  })

  test('DPP-06 DPP-17 DPP-18 DPP-36 (RFC 9449 §7.1): accepts the example request to a protected resource', async () => {
    const server = await resourceServer()
    expect(await accessOf(server, request(resourceProof), scope('read'))).toMatchObject({
      scheme: 'DPoP',
      confirmedBy: ['dpop'],
      subject: 'someone@example.com',
      confirmation: { jkt }
    })
  })

  test('DPP-08 DPP-09 DPP-15 (RFC 9449 §4.3): refuses the example proof for another method, target or time', async () => {
    const challenge = (reason: keyof typeof PROOF_TEXTS): unknown => ({ reason, description: PROOF_TEXTS[reason] })
    const refusedBy = async (server: ResourceServer, one: ResourceRequest): Promise<unknown> => {
      const { reason, description } = await refusal(() => server.authorize(one))
      return { reason, description }
    }
    const server = await resourceServer()
    expect(await refusedBy(server, request(resourceProof, 'POST'))).toEqual(challenge('proof_method'))
    expect(await refusedBy(server, request(resourceProof, 'GET', '/protected'))).toEqual(challenge('proof_target'))
    const late = await resourceServer(at + 61)
    expect(await refusedBy(late, request(resourceProof))).toEqual(challenge('proof_freshness'))
    const other = await resourceServer(at, { publicUrl: 'https://resource.example.com' })
    expect(await refusedBy(other, request(resourceProof))).toEqual(challenge('proof_target'))
  })

  test('DPP-03 (RFC 9449 §4.2): refuses the example proofs for the token endpoint, which have no ath', async () => {
    const server = await resourceServer(1_562_262_616, { publicUrl: 'https://server.example.com' })
    for (const proof of [tokenProof, refreshProof]) {
      expect(await refusal(() => server.authorize(request(proof, 'POST', '/token')))).toMatchObject({
        status: 401,
        code: 'invalid_dpop_proof',
        reason: 'proof_claim'
      })
    }
  })

  test('DPP-06: refuses the example with one bit of its signature changed', async () => {
    const server = await resourceServer()
    const flipped = resourceProof.replace(/LjA$/, 'LiA')
    expect(flipped).not.toBe(resourceProof)
    expect((await refusal(() => server.authorize(request(flipped)))).reason).toBe('proof_signature')
    expect((await accessOf(server, request(resourceProof))).confirmedBy).toEqual(['dpop'])
  })
})

describe('RFC 9449 §4.3: a proof that is good in every respect', () => {
  test('accepts a good proof, and the access says how the sender was confirmed', async () => {
    const access = await accessOf(both, dpop(key.proof({ token })), scope('read'))
    expect(access).toMatchObject({ scheme: 'DPoP', confirmedBy: ['dpop'], subject: 'u1', scopes: ['read'] })
    expect(access.token).toBe(token)
    expect(access.responseHeaders).toEqual({})
  })

  test('accepts a proof by each algorithm of the default list', async () => {
    for (const alg of ['ES256', 'EdDSA', 'Ed25519', 'PS256', 'RS256'] as const) {
      const other = createDpopKey(alg)
      const bound = accessToken({ claims: { cnf: { jkt: other.jkt } } })
      expect(await outcome(both, dpop(other.proof({ token: bound }), { token: bound }))).toEqual(granted)
    }
  })

  test('HTTP-08 (RFC 9110 §11.1): matches the scheme DPoP without regard to case', async () => {
    for (const scheme of ['dpop', 'DPOP', 'dPoP', 'DPoP ']) {
      const request = get({ authorization: `${scheme} ${token}`, dpop: key.proof({ token }) })
      expect(await outcome(both, request)).toEqual(granted)
    }
  })
})

interface Flaw {
  readonly id: string
  readonly title: string
  readonly flaw?: Proof
  /** The whole field instead: made of a good proof. */
  readonly field?: (good: string) => string | readonly string[]
  readonly reason: keyof typeof PROOF_TEXTS
}

const other = createDpopKey()
const segments = (proof: string): [string, string, string] => proof.split('.') as [string, string, string]
const encode = (value: unknown): string => Buffer.from(JSON.stringify(value)).toString('base64url')

const FLAWS: readonly Flaw[] = [
  { id: 'DPP-23 DEN-22', title: 'no proof at all', field: () => [], reason: 'proof_missing' },
  { id: 'DPP-01 DEN-22', title: 'two field lines', field: (good) => [good, good], reason: 'proof_multiple' },
  { id: 'DPP-01 DEN-22', title: 'a good and an empty line', field: (good) => [good, ''], reason: 'proof_multiple' },
  { id: 'DPP-01', title: 'two proofs in one line', field: (good) => `${good}, ${good}`, reason: 'proof_multiple' },
  { id: 'DPP-01', title: 'a comma after a proof', field: (good) => `${good},`, reason: 'proof_multiple' },
  { id: 'DPP-02', title: 'something that is no JWS', field: () => 'x', reason: 'proof_malformed' },
  { id: 'DPP-02', title: 'an empty field', field: () => '', reason: 'proof_malformed' },
  {
    id: 'DPP-02',
    title: 'two segments',
    field: (good) => segments(good).slice(0, 2).join('.'),
    reason: 'proof_malformed'
  },
  { id: 'DPP-02', title: 'five segments', field: (good) => `${good}.a.b`, reason: 'proof_malformed' },
  { id: 'DPP-02', title: 'padding', field: (good) => `${good}=`, reason: 'proof_malformed' },
  { id: 'DPP-02', title: 'white space within', field: (good) => good.replace('.', '. '), reason: 'proof_malformed' },
  { id: 'DPP-02', title: 'quotes around', field: (good) => `"${good}"`, reason: 'proof_malformed' },
  {
    id: 'DPP-02',
    title: 'a header that is no object',
    field: (good) => ['WyJhIl0', ...segments(good).slice(1)].join('.'),
    reason: 'proof_malformed'
  },
  {
    id: 'DPP-02',
    title: 'claims that are no object',
    field: () => signJws({ typ: 'dpop+jwt', alg: 'ES256', jwk: key.jwk }, '[1]', key.key),
    reason: 'proof_malformed'
  },
  {
    id: 'DPP-02',
    title: 'claims that are not UTF-8',
    field: () => signJws({ typ: 'dpop+jwt', alg: 'ES256', jwk: key.jwk }, new Uint8Array([0x7b, 0xff, 0x7d]), key.key),
    reason: 'proof_malformed'
  },
  {
    id: 'DPP-02',
    title: 'JSON serialization',
    field: (good) => {
      const [header, payload, signature] = segments(good)
      return JSON.stringify({ protected: header, payload, signature }).replaceAll(',', ' ')
    },
    reason: 'proof_malformed'
  },
  {
    id: 'DPP-02',
    title: 'more than 4096 characters',
    flaw: { claims: { padding: 'x'.repeat(3000) } },
    reason: 'proof_malformed'
  },
  ...['typ', 'alg', 'jwk'].map((name) => ({
    id: 'DPP-03',
    title: `no ${name} in the header`,
    flaw: { header: { [name]: undefined } },
    reason: 'proof_claim' as const
  })),
  ...['jti', 'htm', 'htu', 'iat', 'ath'].flatMap((name) => [
    { id: 'DPP-03', title: `no ${name}`, flaw: { claims: { [name]: undefined } }, reason: 'proof_claim' as const },
    { id: 'DPP-03', title: `an empty ${name}`, flaw: { claims: { [name]: '' } }, reason: 'proof_claim' as const },
    ...[null, true, {}, ['x'], name === 'iat' ? String(NOW) : 1].map((value) => ({
      id: 'DPP-03',
      title: `${name} of the wrong type: ${JSON.stringify(value)}`,
      flaw: { claims: { [name]: value } },
      reason: 'proof_malformed' as const
    }))
  ]),
  ...['JWT', 'at+jwt', 'text/dpop+jwt', 'dpop', 'application/application/dpop+jwt', 'dpop+jwt ', 1, null].map(
    (typ) => ({
      id: 'DPP-04',
      title: `typ ${JSON.stringify(typ)}`,
      flaw: { header: { typ } },
      reason: 'proof_type' as const
    })
  ),
  ...['none', 'None', 'HS256', 'HS512', 'RS384', 'ES384', 'es256', 'ES256K', '', 1, null, ['ES256']].map((alg) => ({
    id: 'DPP-05',
    title: `alg ${JSON.stringify(alg)}`,
    flaw: { header: { alg } },
    reason: 'proof_algorithm' as const
  })),
  {
    id: 'DPP-05',
    title: 'alg none and no signature',
    flaw: { header: { alg: 'none' }, sign: () => new Uint8Array() },
    reason: 'proof_algorithm'
  },
  {
    id: 'DPP-07',
    title: 'an Ed25519 key of small order, under which many signatures are good (RFC 8032 §8.4)',
    flaw: {
      header: {
        alg: 'EdDSA',
        jwk: { kty: 'OKP', crv: 'Ed25519', x: Buffer.from([1, ...Array(31).fill(0)]).toString('base64url') }
      }
    },
    reason: 'proof_key'
  },
  { id: 'DPP-06', title: 'a signature by another key', flaw: { key: other.key }, reason: 'proof_signature' },
  { id: 'DPP-06', title: 'no signature', flaw: { sign: () => new Uint8Array() }, reason: 'proof_signature' },
  { id: 'DPP-06', title: 'a signature of zeros', flaw: { sign: () => new Uint8Array(64) }, reason: 'proof_signature' },
  {
    id: 'DPP-06',
    title: 'claims changed after signing',
    field: (good) => {
      const [header, payload, signature] = segments(good)
      const claims = JSON.parse(Buffer.from(payload, 'base64url').toString()) as object
      return [header, encode({ ...claims, extra: 1 }), signature].join('.')
    },
    reason: 'proof_signature'
  },
  ...['d', 'p', 'q', 'dp', 'dq', 'qi', 'oth', 'k'].flatMap((name) =>
    ['x', null].map((value) => ({
      id: 'DPP-07',
      title: `a private member ${name}: ${JSON.stringify(value)}`,
      flaw: { header: { jwk: { ...key.jwk, [name]: value } } },
      reason: 'proof_key' as const
    }))
  ),
  ...[
    '{}',
    'x',
    null,
    1,
    true,
    [],
    [key.jwk],
    {},
    { kty: 'EC' },
    { kty: 'oct', k: 'AAAA' },
    { ...key.jwk, kty: 'RSA' }
  ].map((jwk) => ({
    id: 'DPP-07',
    title: `jwk ${JSON.stringify(jwk)}`,
    flaw: { header: { jwk } },
    reason: 'proof_key' as const
  })),
  ...[
    { use: 'enc' },
    { use: 'tls' },
    { use: ['sig'] },
    { key_ops: ['encrypt'] },
    { key_ops: ['sign'] },
    { key_ops: ['Verify'] },
    { key_ops: 'verify' },
    { use: 'sig', key_ops: ['deriveKey'] },
    { alg: 'ECDH-ES' },
    { alg: 'ES384' }
  ].map((members) => ({
    id: 'DPP-07',
    title: `a jwk that is not for this signature (RFC 7517 §4.2 to §4.4): ${JSON.stringify(members)}`,
    flaw: { header: { jwk: { ...key.jwk, ...members } } },
    reason: 'proof_key' as const
  })),
  ...['get', 'Get', 'POST', 'HEAD', 'GET ', 'GET\u0000', 'ＧＥＴ'].map((htm) => ({
    id: 'DPP-08',
    title: `htm ${JSON.stringify(htm)}`,
    flaw: { claims: { htm } },
    reason: 'proof_method' as const
  })),
  ...[
    'https://api.example.com/items/',
    'https://api.example.com//items',
    'https://api.example.com/Items',
    'https://api.example.com/item%2Fs',
    'https://api.example.com/',
    'https://api.example.com',
    'https://api.example.com:8443/items',
    'https://api.example.com:80/items',
    'http://api.example.com/items',
    'https://evil.example/items',
    'https://api.example.com.evil.example/items',
    'https://user@api.example.com/items',
    'https://api.example.com@evil.example/items',
    'https://аpi.example.com/items',
    '/items',
    'items',
    '//api.example.com/items',
    'https:/api.example.com/items',
    'https:///items',
    ' https://api.example.com/items',
    'https://api.example.com/items ',
    'https://api.example.com/it\tems',
    'https://api.example.com\\items',
    'urn:x',
    '?'
  ].map((htu) => ({
    id: 'DPP-09 DPP-11',
    title: `htu ${JSON.stringify(htu)}`,
    flaw: { claims: { htu } },
    reason: 'proof_target' as const
  })),
  { id: 'DPP-15 DEF-06', title: 'iat 61 s ago', flaw: { at: NOW - 61 }, reason: 'proof_freshness' },
  { id: 'DPP-15', title: 'iat 60.5 s ago', flaw: { at: NOW - 60.5 }, reason: 'proof_freshness' },
  { id: 'DPP-15', title: 'iat 0', flaw: { at: 0 }, reason: 'proof_freshness' },
  { id: 'DPP-15', title: 'iat in milliseconds', flaw: { at: NOW * 1000 }, reason: 'proof_freshness' },
  { id: 'DPP-15', title: 'a negative iat', flaw: { at: -NOW }, reason: 'proof_freshness' },
  { id: 'DPP-16 DEF-06', title: 'iat 11 s ahead', flaw: { at: NOW + 11 }, reason: 'proof_freshness' },
  { id: 'DPP-16', title: 'iat 61 s ahead', flaw: { at: NOW + 61 }, reason: 'proof_freshness' },
  { id: 'DPP-34', title: 'exp 10 s ago', flaw: { claims: { exp: NOW - 10 } }, reason: 'proof_freshness' },
  { id: 'DPP-34', title: 'nbf 11 s ahead', flaw: { claims: { nbf: NOW + 11 } }, reason: 'proof_freshness' },
  ...['exp', 'nbf'].flatMap((name) =>
    [null, 'x', String(NOW), {}].map((value) => ({
      id: 'DPP-34',
      title: `${name} of the wrong type: ${JSON.stringify(value)}`,
      flaw: { claims: { [name]: value } },
      reason: 'proof_malformed' as const
    }))
  ),
  ...[[], ['exp'], ['b64'], 'x', null, false].map((crit) => ({
    id: 'DPP-34',
    title: `crit ${JSON.stringify(crit)}`,
    flaw: { header: { crit } },
    reason: 'proof_malformed' as const
  })),
  { id: 'DPP-34', title: 'b64 false', flaw: { header: { b64: false } }, reason: 'proof_malformed' },
  { id: 'DPP-17', title: 'ath of another token', flaw: { claims: { ath: athOf('other') } }, reason: 'proof_token' },
  { id: 'DPP-17', title: 'ath with padding', flaw: { claims: { ath: `${athOf(token)}=` } }, reason: 'proof_token' },
  { id: 'DPP-17 SEC-03', title: 'ath of another length', flaw: { claims: { ath: 'x' } }, reason: 'proof_token' },
  {
    id: 'DPP-17 SEC-03',
    title: 'ath of as many characters and more bytes',
    flaw: { claims: { ath: 'é'.repeat(43) } },
    reason: 'proof_token'
  },
  {
    id: 'DPP-17',
    title: 'ath in hexadecimal',
    flaw: { claims: { ath: Buffer.from(athOf(token), 'base64url').toString('hex') } },
    reason: 'proof_token'
  },
  {
    id: 'DPP-20',
    title: 'a jti of 257 characters',
    flaw: { claims: { jti: 'x'.repeat(257) } },
    reason: 'proof_malformed'
  },
  { id: 'DPP-20', title: 'a jti of 2 kB', flaw: { claims: { jti: 'x'.repeat(2048) } }, reason: 'proof_malformed' }
]

describe('RFC 9449 §4.3: one flaw, and the proof is refused with exactly one challenge', () => {
  for (const { id, title, flaw, field, reason } of FLAWS) {
    test(`${id}: ${title} is ${reason}`, async () => {
      const jti = 'the-jti-of-this-test'
      const good = key.proof({ token, claims: { jti } })
      const sent = field ? field(good) : key.proof({ token, ...flaw, claims: { jti, ...flaw?.claims } })
      for (const required of [false, 'dpop'] as const) {
        // A key that was met before, and one that was not.
        for (const warm of [false, true]) {
          const server = api({ requireSenderConstrained: required, dpop: { advertise: true } })
          if (warm) expect(await outcome(server, dpop(key.proof({ token })))).toEqual(granted)
          expect(await outcome(server, dpop(sent))).toEqual(proofRefused(reason))
          // DPP-21: what was refused has used up nothing.
          expect(await outcome(server, dpop(good))).toEqual(granted)
        }
      }
    })
  }

  test('DPP-28 (RFC 9449 §7.1): answers each bad proof with 401, not the token endpoint’s 400, and asks for DPoP alone in every mode', async () => {
    const flawed = (): ResourceRequest => dpop(key.proof({ token, claims: { htm: 'PUT' } }))
    for (const server of [silent, both, strict]) {
      expect(await outcome(server, flawed())).toEqual(proofRefused('proof_method'))
    }
  })

  test('DPP-35 (RFC 9449 §4): optional accepts absent credentials, and no bad proof', async () => {
    expect(await outcome(both, dpop([]), optional)).toMatchObject({ status: 401, reason: 'proof_missing' })
    expect(await outcome(both, dpop('x'), optional)).toMatchObject({ status: 401, reason: 'proof_malformed' })
    expect(await both.authorize(get({ dpop: key.proof({ token }) }), optional)).toBeUndefined()
  })
})

describe('RFC 9449 §4.3: variants that are accepted', () => {
  const good: readonly (readonly [string, Proof, Sent?])[] = [
    ['DPP-04 JOS-14: typ as a media type', { header: { typ: 'application/dpop+jwt' } }],
    ['DPP-04 JOS-14: typ in another case', { header: { typ: 'DPoP+JWT' } }],
    [
      'DPP-07: a jwk that names its use, alg and kid',
      { header: { jwk: { ...key.jwk, kid: 'a', use: 'sig', alg: 'ES256', key_ops: ['verify'] } } }
    ],
    ['DPP-07: a jwk with members unknown here', { header: { jwk: { ...key.jwk, foo: 'bar', __proto__: null } } }],
    ['DPP-16 DEF-06: iat 60 s ago', { at: NOW - 60 }],
    ['DPP-16 DEF-06: iat 10 s ahead', { at: NOW + 10 }],
    ['DPP-15: iat with a fraction', { at: NOW - 0.25 }],
    ['DPP-33: a nonce while nonces are off', { nonce: 'of somebody else' }],
    ['DPP-33: a nonce of the wrong type while nonces are off', { claims: { nonce: { a: 1 } } }],
    [
      'DPP-34: claims and header parameters unknown here',
      { claims: { foo: {}, aud: 'x' }, header: { foo: 1, kid: 'x' } }
    ],
    ['DPP-34: exp ahead, nbf now', { claims: { exp: NOW + 1, nbf: NOW } }],
    ['DPP-34: exp and nbf within the 10 s that clocks may differ', { claims: { exp: NOW - 9, nbf: NOW + 10 } }],
    ['DPP-20: a jti of 256 characters', { claims: { jti: 'x'.repeat(256) } }],
    ['DPP-20: a jti of other characters', { claims: { jti: 'jti, "ünïcode" \u0000 .:' } }],
    ['DPP-09: a query in the request', {}, { url: '/items?a=1&b=https://evil.example/' }],
    ['DPP-09: a query and a fragment in htu', { url: 'https://api.example.com/items?x=y#z' }],
    ['DPP-10: scheme and host in capitals', { url: 'HTTPS://API.Example.COM/items' }],
    ['DPP-10: the default port', { url: 'https://api.example.com:443/items' }],
    ['DPP-10: an empty port', { url: 'https://api.example.com:/items' }],
    ['DPP-10: unreserved characters encoded in htu', { url: 'https://api.example.com/%69tem%73' }],
    ['DPP-10: unreserved characters encoded in the request', {}, { url: '/%69tems' }],
    ['DPP-10: hexadecimal digits of either case', { url: 'https://api.example.com/a%2fb%C3' }, { url: '/a%2Fb%c3' }],
    [
      'DPP-10: ~ encoded, the example of RFC 3986 §6.2.2.2',
      { url: 'HTTPS://API.example.com:443/a/%7eb' },
      { url: '/a/~b' }
    ],
    ['DPP-10: dot segments in htu', { url: 'https://api.example.com/a/../b/./../items' }],
    ['DPP-10: dot segments in the request', {}, { url: '/a/./../items' }],
    ['DPP-10: no path is /', { url: 'https://api.example.com' }, { url: '/' }],
    ['DPP-08: any method, as it was received', { method: 'PROPFIND' }, { method: 'PROPFIND' }],
    ['DPP-08: HEAD for HEAD', { method: 'HEAD' }, { method: 'HEAD' }],
    ['DPP-08: a method in small letters is another method', { method: 'get' }, { method: 'get' }]
  ]
  for (const [title, proof, sent] of good) {
    test(`${title}`, async () => {
      expect(await withProof(api({ dpop: { advertise: true } }), proof, sent)).toEqual(granted)
    })
  }

  test('DPP-20 (RFC 9449 §11.1): refuses a jti of 10 kB as malformed, before anything is computed', async () => {
    expect(await withProof(both, { claims: { jti: 'x'.repeat(10_240) } })).toEqual(proofRefused('proof_malformed'))
  })

  test('DPP-08 (RFC 9449 §4.3): refuses a proof for GET with HEAD, and one for HEAD with GET', async () => {
    expect(await withProof(both, { method: 'GET' }, { method: 'HEAD' })).toEqual(proofRefused('proof_method'))
    expect(await withProof(both, { method: 'HEAD' }, { method: 'GET' })).toEqual(proofRefused('proof_method'))
  })

  test('DPP-09 (RFC 9449 §4.3): a query does not make another target the same', async () => {
    expect(await withProof(both, {}, { url: '/items2?x=/items' })).toEqual(proofRefused('proof_target'))
    expect(await withProof(both, { url: 'https://api.example.com/?/items' })).toEqual(proofRefused('proof_target'))
  })
})

describe('RFC 9449 §4.3 (9): the target URI', () => {
  test('DPP-12 DEF-18 (RFC 9700 §4.13): ignores Host and X-Forwarded-*', async () => {
    for (const fields of [
      { host: 'evil.example' },
      { 'x-forwarded-host': 'evil.example', 'x-forwarded-proto': 'https' },
      { forwarded: 'host=evil.example;proto=https' },
      { 'x-original-url': '/other', 'x-rewrite-url': '/other', 'x-forwarded-prefix': '/other' }
    ]) {
      expect(await withProof(both, { url: 'https://evil.example/items' }, { fields })).toEqual(
        proofRefused('proof_target')
      )
      expect(await withProof(both, { url: 'https://api.example.com/other' }, { fields })).toEqual(
        proofRefused('proof_target')
      )
      expect(await withProof(both, {}, { fields })).toEqual(granted)
    }
  })

  test('DPP-12: reads a request target that looks like another authority as a path', async () => {
    const url = '//evil.example/items'
    expect(await withProof(both, {}, { url })).toEqual(proofRefused('proof_target'))
    expect(await withProof(both, { url: 'https://evil.example/items' }, { url })).toEqual(proofRefused('proof_target'))
    expect(await withProof(both, { url: `https://api.example.com${url}` }, { url })).toEqual(granted)
  })

  test('DPP-12: adds the path of publicUrl, where a proxy cuts one', async () => {
    for (const publicUrl of ['https://gateway.example/shop', 'https://gateway.example/shop/']) {
      const server = api({ dpop: { advertise: true }, publicUrl })
      expect(await withProof(server, { url: 'https://gateway.example/shop/items' })).toEqual(granted)
      for (const url of [
        'https://gateway.example/items',
        'https://gateway.example/shopitems',
        'https://api.example.com/items'
      ])
        expect(await withProof(server, { url })).toEqual(proofRefused('proof_target'))
    }
  })

  test('DPP-12: accepts several publicUrls as alternatives, and nothing between them', async () => {
    const server = api({ dpop: { advertise: true }, publicUrl: ['https://a.example', 'https://b.example:8443/v1'] })
    for (const url of ['https://a.example/items', 'https://b.example:8443/v1/items'])
      expect(await withProof(server, { url })).toEqual(granted)
    for (const url of ['https://a.example/v1/items', 'https://b.example/v1/items', 'https://b.example:8443/items'])
      expect(await withProof(server, { url })).toEqual(proofRefused('proof_target'))
  })

  test('DPP-12: uses the origin of the resource without publicUrl, whatever path that has', async () => {
    const server = api(
      { dpop: { advertise: true }, resource: 'https://api.example.com/v1?tenant=a' },
      { audience: 'https://api.example.com' }
    )
    const url = '/v1/items'
    expect(await withProof(server, { url: 'https://api.example.com/v1/items' }, { url })).toMatchObject({ status: 200 })
    expect(await withProof(server, { url: 'https://api.example.com/items' }, { url })).toMatchObject({
      reason: 'proof_target'
    })
  })

  test('tells the log what was expected and received, and not the client', async () => {
    const error = await refusal(() => both.authorize(dpop(key.proof({ token, url: 'https://evil.example/secret' }))))
    expect(error).toMatchObject({
      expected: ['https://api.example.com/items'],
      received: 'https://evil.example/secret'
    })
    expect(JSON.stringify([error.toJSON(), error.headers, error.message])).not.toContain('secret')
  })
})

describe('RFC 9449 §6, §7: the token and the key', () => {
  test('DPP-18 DEN-23 (RFC 9449 §7.1): refuses a good proof by another key than the token’s with invalid_token', async () => {
    const stolen = other.proof({ token })
    for (const server of [silent, both, strict]) expect(await outcome(server, dpop(stolen))).toEqual(bindingRefused)
  })

  test('DPP-18 SEC-03: refuses a cnf.jkt that only resembles the thumbprint', async () => {
    const almost = [
      key.jkt.slice(0, -1),
      `${key.jkt}=`,
      `${key.jkt} `,
      key.jkt.toLowerCase() === key.jkt ? key.jkt.toUpperCase() : key.jkt.toLowerCase(),
      '',
      'é'.repeat(43),
      Buffer.from(key.jkt, 'base64url').toString('hex')
    ]
    for (const jkt of almost) {
      const bound = accessToken({ claims: { cnf: { jkt } } })
      expect(await withProof(both, { token: bound }, { token: bound })).toEqual(bindingRefused)
    }
  })

  test('DPP-18 DPP-25: a cnf.jkt of another type binds to nothing, and frees from nothing', async () => {
    for (const jkt of [[], [key.jkt], {}, { jkt: key.jkt }, 1, null, true, false]) {
      const bound = accessToken({ claims: { cnf: { jkt } } })
      expect(await withProof(both, { token: bound }, { token: bound })).toEqual(bindingRefused)
      expect(await outcome(silent, bearer(bound))).toEqual(refused('DEN-21', 'dpop_downgrade'))
    }
  })

  test('refuses a cnf that is not an object as a malformed claim under either scheme', async () => {
    for (const cnf of [[], [{ jkt: key.jkt }], 'x', 1, true]) {
      const odd = accessToken({ claims: { cnf } })
      const described = dpopRefused('claim', 'The access token has a missing or invalid claim')
      expect(await withProof(both, { token: odd }, { token: odd })).toEqual(described)
      expect(await outcome(silent, bearer(odd))).toEqual(refused('DEN-11', 'claim'))
    }
  })

  test('accepts a token whose cnf is null or empty as Bearer, and refuses it as DPoP', async () => {
    for (const cnf of [null, '']) {
      const unbound = accessToken({ claims: { cnf } })
      expect(await withProof(both, { token: unbound }, { token: unbound })).toEqual(unboundRefused)
      expect(await outcome(silent, bearer(unbound))).toEqual(granted)
    }
  })

  test('ignores a jkt that is only inherited', async () => {
    const odd = accessToken({ claims: { cnf: JSON.parse(`{"__proto__":{"jkt":"${key.jkt}"},"x":1}`) as object } })
    expect(await withProof(both, { token: odd }, { token: odd })).toEqual(unboundRefused)
    expect(await outcome(silent, bearer(odd))).toEqual(refused('DEN-11', 'confirmation_unknown'))
  })

  test('DPP-24 DEN-23 (RFC 9449 §7.1): refuses a token under DPoP that is bound to no key, or to a certificate alone', async () => {
    for (const cnf of [
      undefined,
      {},
      { 'x5t#S256': 'bwcK0esc3ACC3DB2Y5_lESsXE8o9ltc05O89jdN-dg2' },
      { jwk: key.jwk }
    ]) {
      const unbound = accessToken({ claims: { cnf } })
      for (const server of [silent, both, strict])
        expect(await withProof(server, { token: unbound }, { token: unbound })).toEqual(unboundRefused)
    }
  })

  test('DPP-25 DEN-21 (RFC 9449 §7.2): refuses a bound token as a bearer token, in any mode', async () => {
    expect(await outcome(silent, bearer(token))).toEqual(refused('DEN-21', 'dpop_downgrade'))
    expect(await outcome(off, bearer(token))).toEqual(refused('DEN-21', 'dpop_downgrade'))
    expect(await outcome(both, bearer(token))).toEqual(
      bothSchemes(401, 'invalid_token', 'dpop_downgrade', 'DPoP-bound access token used with the Bearer scheme', {
        under: ['Bearer']
      })
    )
  })

  test('DPP-25 DEN-23: refuses a token without a proof, after it was accepted with one', async () => {
    const server = api({ dpop: { advertise: true } })
    const first = await accessOf(server, dpop(key.proof({ token })))
    expect(await accessOf(server, dpop(key.proof({ token })))).toBe(first)
    expect(first).toMatchObject({ scheme: 'DPoP', confirmedBy: ['dpop'], responseHeaders: {} })
    expect(await reasonOf(server, bearer(token))).toBe('dpop_downgrade')
    expect(await reasonOf(server, dpop([]))).toBe('proof_missing')
    expect(await reasonOf(server, dpop(key.proof({ token, method: 'PUT' })))).toBe('proof_method')
    expect(await reasonOf(server, dpop(createDpopKey().proof({ token })))).toBe('dpop_binding')
  })

  test('DPP-25: refuses a bound token as a bearer token, also with a good proof beside it', async () => {
    expect(await outcome(silent, bearer(token, { dpop: key.proof({ token }) }))).toEqual(
      refused('DEN-21', 'dpop_downgrade')
    )
  })

  test('DPP-26: ignores a DPoP field beside an unbound bearer token', async () => {
    const unbound = accessToken()
    for (const proof of [key.proof({ token: unbound }), 'x', ''])
      for (const server of [silent, both, off])
        expect(await outcome(server, bearer(unbound, { dpop: proof }))).toEqual(granted)
  })

  test('DPP-35 DEN-19 DEN-26 (RFC 9449 §4): a proof without a token authenticates nothing', async () => {
    const alone = get({ dpop: key.proof({ token }) })
    expect(await outcome(silent, alone)).toEqual(missing())
    expect(await outcome(both, alone)).toEqual(bothSchemes(401, undefined, 'credentials_missing', ''))
    expect(await outcome(strict, alone)).toEqual(
      bothSchemes(401, undefined, 'credentials_missing', '', { schemes: ['DPoP'] })
    )
  })

  test('DPP-37 DEF-17: a token that is bound to a key and a certificate needs both', async () => {
    const certificate = new Uint8Array([1, 2, 3])
    const thumbprint = 'A5BYxvLAy0ksUzt_DNFd8tF8-q9uYCj-iFwoxzmi5p4'
    const expected = createHash('sha256').update(certificate).digest('base64url')
    expect(thumbprint).not.toBe(expected)
    const server = api({ dpop: { advertise: true } })
    const ask = (cnf: object, proof: Proof, presented?: Uint8Array, by: DpopKey = key): Promise<Outcome> => {
      const doubly = accessToken({ claims: { cnf } })
      const request = dpop(by.proof({ token: doubly, ...proof }), { token: doubly })
      return outcome(server, { ...request, certificate: () => presented })
    }
    const cnf = { jkt: key.jkt, 'x5t#S256': expected }
    const refusedCertificate = dpopRefused(
      'certificate_binding',
      'The access token is bound to a different client certificate'
    )
    expect(await ask(cnf, {}, certificate)).toEqual(granted)
    expect(await ask(cnf, {})).toEqual(refusedCertificate)
    expect(await ask(cnf, {}, new Uint8Array([1, 2, 4]))).toEqual(refusedCertificate)
    expect(await ask(cnf, {}, certificate, other)).toEqual(bindingRefused)
    expect(await ask(cnf, { claims: { ath: 'x' } }, certificate)).toEqual(proofRefused('proof_token'))
    expect(await ask({ ...cnf, 'x5t#S256': thumbprint }, {}, certificate)).toEqual(refusedCertificate)
    const doubly = accessToken({ claims: { cnf } })
    const request = dpop(key.proof({ token: doubly }), { token: doubly })
    const access = await accessOf(server, { ...request, certificate: () => certificate })
    expect(access.confirmedBy).toEqual(['dpop', 'certificate'])
  })
})

describe('RFC 9449 §7.1: challenges of a server that takes both schemes', () => {
  test('DEN-19 HTTP-07 DEF-12 (RFC 9110 §11.6.1): answers a request without credentials with two lines, Bearer first, and no error', async () => {
    const expected = bothSchemes(401, undefined, 'credentials_missing', '')
    expect(expected.headers['WWW-Authenticate']).toEqual([
      `Bearer scope="read", resource_metadata="${METADATA_URL}"`,
      `DPoP scope="read", algs="${ALGS}", resource_metadata="${METADATA_URL}"`
    ])
    for (const request of [
      get(),
      get({ authorization: 'Basic eA==' }),
      get({}, { url: `/items?access_token=${token}` })
    ])
      expect(await outcome(both, request)).toEqual(expected)
  })

  test('DEN-20 (RFC 9449 §7.2): writes the error of a bad bearer token under Bearer alone', async () => {
    expect(await outcome(both, bearer(accessToken({ claims: { exp: NOW - 30 } })))).toEqual(
      bothSchemes(401, 'invalid_token', 'expired', 'The access token expired', { under: ['Bearer'] })
    )
    expect(await outcome(both, bearer(accessToken({ claims: { scope: 'x' } })))).toEqual(
      bothSchemes(403, 'insufficient_scope', 'insufficient_scope', 'The access token lacks a required scope', {
        under: ['Bearer']
      })
    )
  })

  test('DEN-22 DEF-12: writes the token’s own faults under DPoP alone, with DPoP used', async () => {
    const expired = accessToken({ claims: { cnf: { jkt: key.jkt }, exp: NOW - 30 } })
    for (const server of [silent, both, strict]) {
      expect(await withProof(server, { token: expired }, { token: expired })).toEqual(
        dpopRefused('expired', 'The access token expired')
      )
      expect(await withProof(server, {}, { token: 'ab%cd' })).toEqual(
        dpopRefused('malformed', 'The access token is malformed')
      )
    }
  })

  test('ORD-01: reports the token’s faults before the proof’s', async () => {
    const expired = accessToken({ claims: { cnf: { jkt: key.jkt }, exp: NOW - 30 } })
    expect(await outcome(both, dpop('x', { token: expired }))).toEqual(
      dpopRefused('expired', 'The access token expired')
    )
  })

  test('DEN-25 (RFC 6750 §3.1): answers a missing scope with 403 under DPoP', async () => {
    const request = (): ResourceRequest => dpop(key.proof({ token }))
    for (const server of [silent, both, strict])
      expect(await outcome(server, request(), scope('read', 'write'))).toEqual(dpopInsufficient('read write'))
  })

  test('DEN-14 STP-01 (RFC 9470 §3): answers a missing authentication with 401 under DPoP', async () => {
    expect(await outcome(both, dpop(key.proof({ token })), authentication({ acr: ['urn:example:mfa'] }))).toMatchObject(
      {
        status: 401,
        headers: {
          'WWW-Authenticate': [
            `DPoP error="insufficient_user_authentication", error_description="A different authentication level is required", acr_values="urn:example:mfa", algs="${ALGS}", resource_metadata="${METADATA_URL}"`
          ]
        }
      }
    )
  })

  test('DEN-27 (RFC 9449 §7.2): writes the error of two Authorization fields under both schemes', async () => {
    const proof = key.proof({ token })
    const expected = bothSchemes(
      400,
      'invalid_request',
      'multiple_credentials',
      'Multiple methods used to include access token',
      { scope: '' }
    )
    const ambiguous = [
      get({ authorization: [`Bearer ${token}`, `DPoP ${token}`], dpop: proof }),
      get({ authorization: [`DPoP ${token}`, `Bearer ${token}`], dpop: proof }),
      get({ authorization: [`DPoP ${token}`, `DPoP ${token}`], dpop: proof }),
      get({ authorization: `Bearer ${token}, DPoP ${token}`, dpop: proof }),
      get({ authorization: `DPoP ${token}, Bearer ${token}`, dpop: proof })
    ]
    for (const request of ambiguous) expect(await outcome(both, request)).toEqual(expected)
    expect(await outcome(both, dpop(proof))).toEqual(granted)
  })

  test('DEN-02 (RFC 6750 §3.1): refuses DPoP without a token, or with two, as malformed', async () => {
    for (const authorization of ['DPoP', 'DPoP ', `DPoP ${token} more`]) {
      expect(await outcome(both, get({ authorization, dpop: key.proof({ token }) }))).toEqual({
        ...bothSchemes(400, 'invalid_request', 'malformed_authorization', 'Malformed Authorization header', {
          schemes: ['DPoP'],
          scope: ''
        })
      })
    }
  })

  test('HTTP-14 (RFC 9449 §7.1, §8): exposes the fields that matter to a script of another origin', async () => {
    const fields = { origin: 'https://app.example' }
    for (const server of [both, strict]) {
      for (const request of [get(fields), dpop('x', { fields })]) {
        expect((await outcome(server, request)).headers['Access-Control-Expose-Headers']).toBe(
          'WWW-Authenticate, DPoP-Nonce'
        )
      }
    }
    expect((await outcome(silent, get(fields))).headers['Access-Control-Expose-Headers']).toBe('WWW-Authenticate')
    expect((await outcome(both, get())).headers).not.toHaveProperty('Access-Control-Expose-Headers')
  })
})

describe('RFC 9449 §7: modes', () => {
  test('accepts DPoP without the option, and does not advertise it', async () => {
    expect(await outcome(silent, dpop(key.proof({ token })))).toEqual(granted)
    expect(await outcome(silent, get())).toEqual(missing())
    expect(await outcome(silent, bearer(accessToken()))).toEqual(granted)
    expect(silent.metadata?.document()).toEqual({
      resource: 'https://api.example.com',
      authorization_servers: ['https://as.example.com'],
      bearer_methods_supported: ['header']
    })
  })

  test('DPP-27 (RFC 9449 §7.1, RFC 9728 §2): writes the algs of the metadata into challenges', async () => {
    for (const options of [
      { dpop: { advertise: true } },
      { dpop: { advertise: true, algorithms: ['ES384', 'PS512'] } },
      { requireSenderConstrained: 'dpop' }
    ] satisfies Partial<ResourceServerOptions>[]) {
      const server = api(options)
      const { headers } = await outcome(server, get())
      const algs = /algs="([^"]+)"/.exec(String(headers['WWW-Authenticate']))?.[1]?.split(' ')
      expect(algs).toEqual(server.metadata?.document()['dpop_signing_alg_values_supported'])
      expect(algs).toEqual(options.dpop?.algorithms ?? ALGS.split(' '))
    }
  })

  test('DPP-05 DPP-27: the user’s algorithms replace the default ones', async () => {
    const server = api({ dpop: { advertise: true, algorithms: ['ES384'] } })
    const p384 = createDpopKey('ES384')
    const bound = accessToken({ claims: { cnf: { jkt: p384.jkt } } })
    expect(await outcome(server, dpop(p384.proof({ token: bound }), { token: bound }))).toEqual(granted)
    expect(await withProof(server)).toMatchObject({
      reason: 'proof_algorithm',
      headers: {
        'WWW-Authenticate': [
          challengeOf(
            'DPoP',
            'error="invalid_dpop_proof", error_description="DPoP proof alg is not accepted", ',
            'scope="read", ',
            'ES384'
          )
        ]
      }
    })
  })

  test('DPP-39 DEN-26 (RFC 9728 §2): publishes that DPoP is required, and treats Bearer as no credentials', async () => {
    expect(strict.metadata?.document()).toMatchObject({ dpop_bound_access_tokens_required: true })
    for (const server of [silent, both, off])
      expect(server.metadata?.document()).not.toHaveProperty('dpop_bound_access_tokens_required')
    expect(strict.metadata?.document()).not.toHaveProperty('bearer_methods_supported')
    const expected = bothSchemes(401, undefined, 'credentials_missing', '', { schemes: ['DPoP'] })
    for (const request of [
      get(),
      bearer(token),
      bearer(accessToken()),
      bearer('x'),
      get({ authorization: 'Basic eA==' })
    ])
      expect(await outcome(strict, request)).toEqual(expected)
    expect(await outcome(strict, dpop(key.proof({ token })))).toEqual(granted)
  })

  test('DPP-39: with required, optional does not accept a bearer token', async () => {
    expect(await outcome(strict, bearer(accessToken()), optional)).toMatchObject({
      status: 401,
      reason: 'credentials_missing'
    })
    expect(await strict.authorize(get(), optional)).toBeUndefined()
  })

  test('with false, does not know the scheme DPoP, and advertises nothing', async () => {
    expect(await outcome(off, dpop(key.proof({ token })))).toEqual(missing())
    expect(off.metadata?.document()).not.toHaveProperty('dpop_signing_alg_values_supported')
  })

  test('MCP-11: checks the audience whatever the proof', async () => {
    const foreign = accessToken({ claims: { cnf: { jkt: key.jkt }, aud: 'https://other.example' } })
    expect(await withProof(both, { token: foreign }, { token: foreign })).toEqual(
      dpopRefused('audience', 'The access token audience is not accepted')
    )
  })
})

describe('RFC 9449 §6.2: introspected tokens', () => {
  const bed = createBed()

  test('DPP-36: requires the same proof for introspected tokens, and sends it to no server', async () => {
    const issuer = await bed.issuer()
    const server = bed.api({ issuers: [introspecting(issuer)], dpop: { advertise: true } })
    const opaque = issuer.opaque({ cnf: { jkt: key.jkt }, token_type: 'DPoP' })
    const at = bed.clock.now()
    const sent = { token: opaque }
    expect(await withProof(server, { at }, sent)).toEqual(granted)
    expect(await withProof(server, { at, key: other.key }, sent)).toEqual(proofRefused('proof_signature'))
    expect(await withProof(server, { at, claims: { ath: athOf(token) } }, sent)).toEqual(proofRefused('proof_token'))
    expect(await outcome(server, dpop(other.proof({ token: opaque, at }), sent))).toEqual(bindingRefused)
    expect(issuer.count('introspection')).toBe(1)
    for (const { headers, body } of issuer.requests) {
      expect(headers).not.toHaveProperty('dpop')
      expect(body).not.toContain('eyJ')
    }
  })

  test('DPP-36 (RFC 9449 §6.2): requires token_type DPoP where there is one', async () => {
    const issuer = await bed.issuer()
    const server = bed.api({ issuers: [introspecting(issuer)], dpop: { advertise: true } })
    const at = bed.clock.now()
    for (const [type, expected] of [
      ['DPoP', granted],
      ['dpop', granted],
      [undefined, granted],
      ['Bearer', dpopRefused('claim', 'The access token has a missing or invalid claim')]
    ] as const) {
      const opaque = issuer.opaque({ cnf: { jkt: key.jkt }, token_type: type })
      expect(await withProof(server, { at }, { token: opaque }), String(type)).toEqual(expected)
    }
  })

  test('DPP-24 DPP-36: reads an answer without cnf as one about an unbound token', async () => {
    const issuer = await bed.issuer()
    const server = bed.api({ issuers: [introspecting(issuer)], dpop: { advertise: true } })
    const opaque = issuer.opaque({ token_type: 'DPoP' })
    expect(await withProof(server, { at: bed.clock.now() }, { token: opaque })).toEqual(unboundRefused)
    expect(await outcome(server, bearer(opaque))).toMatchObject({ status: 401, reason: 'dpop_downgrade' })
  })
})

describe('DPoP beside other rules about the sender', () => {
  const certificateText = 'The access token is bound to a different client certificate'

  test('FAP-04 (RFC 9700 §2.2.1): accepts DPoP where senders must be constrained, and no plain bearer token', async () => {
    const server = api({ dpop: { advertise: true }, requireSenderConstrained: true })
    expect(await outcome(server, dpop(key.proof({ token })))).toEqual(granted)
    expect(await outcome(server, bearer(accessToken()))).toEqual(
      bothSchemes(401, 'invalid_token', 'certificate_binding', certificateText, { under: ['Bearer'] })
    )
    const unbound = accessToken()
    expect(await withProof(server, { token: unbound }, { token: unbound })).toEqual(unboundRefused)
  })

  test('MTL-02: does not accept a DPoP key where a certificate is asked for', async () => {
    const server = api({ dpop: { advertise: true }, requireSenderConstrained: 'certificate' })
    expect(await outcome(server, dpop(key.proof({ token })))).toEqual(
      dpopRefused('certificate_binding', certificateText)
    )
  })

  const bed = createBed()

  test('DPP-36 (RFC 7662 §4): a token that is introspected again stays with the proof it came with, which is used once', async () => {
    const issuer = await bed.issuer()
    const server = bed.api({ issuers: [introspecting(issuer)], dpop: { advertise: true, nonces: 'offered' } })
    const opaque = issuer.opaque({ cnf: { jkt: key.jkt }, token_type: 'DPoP' })
    const proof = key.proof({ token: opaque, at: bed.clock.now() })
    const access = await accessOf(server, dpop(proof, { token: opaque }), fresh(), scope('read'))
    expect(access).toMatchObject({ scheme: 'DPoP', confirmedBy: ['dpop'] })
    expect(access.responseHeaders).toHaveProperty('DPoP-Nonce')
    expect(issuer.count('introspection')).toBe(2)
    expect((await outcome(server, dpop(proof, { token: opaque }), fresh())).reason).toBe('proof_replayed')
    issuer.revoke(opaque)
    const after = dpop(key.proof({ token: opaque, at: bed.clock.now() }), { token: opaque })
    expect((await outcome(server, after, fresh())).reason).toBe('inactive')
  })
})

describe('RFC 9449 §11.1: replay', () => {
  test('DPP-19 DEF-06: accepts a proof once', async () => {
    const server = api({ dpop: { advertise: true } })
    const proof = key.proof({ token })
    expect(await outcome(server, dpop(proof))).toEqual(granted)
    for (const _ of [1, 2, 3]) expect(await outcome(server, dpop(proof))).toEqual(proofRefused('proof_replayed'))
  })

  test('DPP-19: refuses the same jti in another proof of the same key as a replay', async () => {
    const server = api({ dpop: { advertise: true } })
    expect(await withProof(server, { claims: { jti: 'same' } })).toEqual(granted)
    expect(await withProof(server, { claims: { jti: 'same', more: 1 }, at: NOW - 1 })).toEqual(
      proofRefused('proof_replayed')
    )
    expect(await withProof(server, { claims: { jti: 'Same' } })).toEqual(granted)
  })

  test('DPP-19: accepts the same jti of another key', async () => {
    const server = api({ dpop: { advertise: true } })
    const bound = accessToken({ claims: { cnf: { jkt: other.jkt } } })
    const claims = { jti: 'same' }
    expect(await withProof(server, { claims })).toEqual(granted)
    expect(await outcome(server, dpop(other.proof({ token: bound, claims }), { token: bound }))).toEqual(granted)
  })

  test('DPP-19: refuses a replay with another spelling of the request', async () => {
    const proof = key.proof({ token })
    const spellings: readonly ResourceRequest[] = [
      get({ authorization: `dpop ${token}`, dpop: proof }),
      get({ authorization: `DPOP   ${token}`, dpop: proof }),
      get({ dpop: proof, 'x-other': 'y', authorization: `DPoP ${token}` }),
      dpop(proof, { url: '/items?page=2' }),
      dpop(proof, { url: '/./items' }),
      dpop(proof, { url: '/%69tems' }),
      dpop(proof, { fields: { origin: 'https://app.example', host: 'other.example' } })
    ]
    for (const first of spellings) {
      const server = api({ dpop: { advertise: true } })
      expect(await outcome(server, first)).toEqual(granted)
      for (const again of spellings) {
        const { headers, ...rest } = await outcome(server, again)
        expect(rest).toMatchObject({ status: 401, reason: 'proof_replayed' })
        expect(headers['WWW-Authenticate']).toEqual(proofRefused('proof_replayed').headers['WWW-Authenticate'])
      }
    }
  })

  test('DPP-19: remembers a proof for as long as it is fresh, whatever iat it has', async () => {
    for (const ahead of [10, 0, -60]) {
      const clock = createClock(NOW)
      const server = api({
        dpop: { advertise: true, replayStore: memoryOnceStore({ now: clock.now }) },
        now: clock.now
      })
      const long = accessToken({ claims: { cnf: { jkt: key.jkt }, exp: NOW + 3600 } })
      const proof = key.proof({ token: long, at: NOW + ahead })
      const ask = (): Promise<Outcome> => outcome(server, dpop(proof, { token: long }))
      expect(await ask()).toEqual(granted)
      for (let age = -ahead; age < 60; age += 5) {
        expect(await ask(), `${ahead} ${age}`).toEqual(proofRefused('proof_replayed'))
        clock.advance(5)
      }
      expect(clock.now()).toBe(NOW + ahead + 60)
      expect(await ask()).toEqual(proofRefused('proof_replayed'))
      clock.advance(1)
      expect(await ask()).toEqual(proofRefused('proof_freshness'))
    }
  })

  test('DPP-19: passes an opaque key to the store, and the seconds that the proof is fresh, and 10 s more', async () => {
    const added: [string, number][] = []
    const replayStore = { add: (one: string, ttl: number) => added.push([one, ttl]) > 0 }
    const server = api({ dpop: { advertise: true, replayStore, nonces: 'offered' } })
    const jti = 'a jti with "blanks", ünïcode and a \u0000'
    const ages: readonly (readonly [number, number])[] = [
      [0, 70],
      [60, 10],
      [-10, 80],
      [0.5, 69.5]
    ]
    for (const [age, ttl] of ages) {
      expect(await withProof(server, { at: NOW - age, claims: { jti } })).toEqual(granted)
      expect(added.at(-1)).toEqual([`${OWNER}.${key.jkt}.${createHash('sha256').update(jti).digest('base64url')}`, ttl])
    }
    expect(added[0]?.[0]).toMatch(/^[A-Za-z0-9_-]{22}\.[A-Za-z0-9_-]{43}\.[A-Za-z0-9_-]{43}$/)
    const secret = { nonceSecret: 'a secret of thirty-two characters' }
    const clock = createClock(NOW)
    const withNonces = api({ dpop: { advertise: true, replayStore, nonces: 'required', ...secret }, now: clock.now })
    const nonce = await nonceOf(withNonces)
    for (const [age, ttl] of [
      [0, 310],
      [100, 210],
      [299, 11],
      [-10, 310]
    ] as const) {
      clock.advance(NOW + age - clock.now())
      expect((await withProof(withNonces, { at: 0, nonce })).status).toBe(200)
      expect(added.at(-1)?.[1]).toBe(ttl)
    }
  })

  test('DPP-19: a clock set back does not make a used proof new', async () => {
    const clock = createClock(NOW)
    const server = api({ dpop: { advertise: true }, now: clock.now })
    const proof = key.proof({ token })
    clock.advance(40)
    expect(await outcome(server, dpop(proof))).toEqual(granted)
    clock.advance(-35)
    expect(await outcome(server, dpop(proof))).toEqual(proofRefused('proof_replayed'))
    expect(await withProof(server, { at: clock.now() })).toEqual(granted)
    expect(await outcome(server, dpop(proof))).toEqual(proofRefused('proof_replayed'))
  })

  test('DPP-19: a clock that jumped ahead and came back does not make a used proof new', async () => {
    const clock = createClock(NOW)
    const server = api({ dpop: { advertise: true }, now: clock.now })
    const proof = key.proof({ token })
    expect(await outcome(server, dpop(proof))).toEqual(granted)
    clock.advance(200)
    expect(await withProof(server, { at: clock.now() })).toEqual(granted)
    clock.advance(-195)
    expect(await outcome(server, dpop(proof))).toEqual(proofRefused('proof_replayed'))
  })

  test('DPP-21 (RFC 9449 §4.3): records no proof that a check refuses', async () => {
    const keys: string[] = []
    const replayStore = { add: (one: string) => keys.push(one) > 0 }
    const server = api({ dpop: { advertise: true, replayStore } })
    for (const { flaw, field } of FLAWS) {
      const good = key.proof({ token })
      await outcome(server, dpop(field ? field(good) : key.proof({ token, ...flaw })))
    }
    await outcome(server, dpop(other.proof({ token })))
    await withProof(server, {}, { token: accessToken() })
    expect(keys).toEqual([])
    expect(await withProof(server, { claims: { jti: 'j' } })).toEqual(granted)
    expect(keys).toEqual([`${OWNER}.${key.jkt}.j`])
  })

  test('DPP-19: records a short key, whatever the client wrote, that tells any two proofs apart', async () => {
    const keys: string[] = []
    const server = api({
      dpop: { advertise: true, replayStore: { add: (one) => !keys.includes(one) && keys.push(one) > 0 } }
    })
    const longest = 'x'.repeat(42)
    const odd = ['a.b', 'a b', 'é', '\u0000', '\r\nDEL', `${longest}x`, 'x'.repeat(256)]
    const digestOf = (text: string): string => createHash('sha256').update(text).digest('base64url')
    const digests = odd.map(digestOf)
    // What another one's digest is, is no name for a proof of that name.
    for (const jti of ['-', longest, ...odd, ...digests]) {
      expect(await withProof(server, { claims: { jti } })).toEqual(granted)
      expect(await withProof(server, { claims: { jti } })).toEqual(proofRefused('proof_replayed'))
    }
    const names = ['-', longest, ...digests, ...digests.map(digestOf)]
    expect(keys).toEqual(names.map((name) => `${OWNER}.${key.jkt}.${name}`))
  })

  test.each([
    ['use', ['sig', '', null]],
    ['key_ops', [['verify'], ['sign', 'verify'], [], null]],
    ['alg', ['ES256', '', null]]
  ])('DPP-07: accepts a jwk whose %s allows verifying, or is missing', async (member, values: readonly unknown[]) => {
    for (const value of values)
      expect(await withProof(api(), { header: { jwk: { ...key.jwk, [member]: value } } }), String(value)).toEqual(
        granted
      )
  })

  describe('DPP-20: a share of the replay store', () => {
    /** A key of the client, with a token of this user, who may make both at will. */
    const client = (claims: Record<string, unknown>): (() => ResourceRequest) => {
      const own = createDpopKey()
      const bound = accessToken({ claims: { ...claims, cnf: { jkt: own.jkt } } })
      return () => dpop(own.proof({ token: bound }), { token: bound })
    }
    const overShare = {
      status: 429,
      code: 'too_many_requests',
      reason: 'replay_share',
      headers: { 'Retry-After': expect.stringMatching(/^(6\d|7[01])$/), 'Cache-Control': 'no-store' }
    }
    /** What becomes of `count` requests, by reason. */
    const reasonsOf = async (server: ResourceServer, count: number, next: (i: number) => ResourceRequest) => {
      const reasons: Record<string, number> = {}
      for (let i = 0; i < count; i++) {
        const { reason = 'granted' } = await outcome(server, next(i))
        reasons[reason] = (reasons[reason] ?? 0) + 1
      }
      return reasons
    }

    test.each([
      ['keys of one user', (i: number) => client({ sub: 'attacker', jti: `t${i}` })],
      ['client ids of one user (RFC 7591)', (i: number) => client({ sub: 'attacker', client_id: `c${i}` })],
      ['keys of one client without a user', () => client({ sub: undefined, client_id: 'attacker' })]
    ])('fifty %s fill one share, and a victim is served', async (_, make) => {
      const server = api({ dpop: { replayStore: memoryOnceStore({ maxEntries: 1000 }) } }, { tokenProfile: 'legacy' })
      const attackers = Array.from({ length: 50 }, (__, i) => make(i))
      const reasons = await reasonsOf(server, 400, (i) => (attackers[i % attackers.length] as () => ResourceRequest)())
      expect(reasons).toEqual({ granted: 200, replay_share: 200 })
      expect(await outcome(server, (attackers[0] as () => ResourceRequest)())).toMatchObject(overShare)
      const victim = client({ sub: 'victim' })
      expect(await reasonsOf(server, 50, () => victim())).toEqual({ granted: 50 })
      expect(server.stats().replay).toEqual({ entries: 250, maxEntries: 1000, owners: 2 })
    })

    test('keys without a user and a client each have a share; the same user at two issuers too', async () => {
      const keys: string[] = []
      const replayStore = { add: (one: string) => keys.push(one) > 0 }
      const ownersOf = async (...requests: ResourceRequest[]): Promise<number> => {
        keys.length = 0
        const server = api({ dpop: { replayStore } })
        for (const request of requests) await server.authorize(request)
        return new Set(keys.map((one) => one.slice(0, one.indexOf('.')))).size
      }
      expect(await ownersOf(client({ sub: 'a' })(), client({ sub: 'b' })())).toBe(2)
      // A user is not the client that has the same name.
      expect(await ownersOf(client({ sub: 'a', client_id: 'b' })(), client({ sub: 'b', client_id: 'a' })())).toBe(2)
      expect(await ownersOf(client({ sub: 'a', client_id: 'b' })(), client({ sub: 'a', client_id: 'c' })())).toBe(1)
    })

    test.each([
      [
        'throws',
        () => {
          throw new OwnerQuotaExceeded(12.2)
        }
      ],
      ['rejects', () => Promise.reject(new OwnerQuotaExceeded(12.2))],
      [
        'throws the error of another copy of this package',
        () => {
          throw Object.assign(new Error('x'), { name: 'OwnerQuotaExceeded', retryAfter: 12.2 })
        }
      ]
    ])('a store that %s OwnerQuotaExceeded is not an outage: 429, Retry-After, no challenge', async (_, add) => {
      const server = api({ dpop: { replayStore: { add: add as unknown as () => boolean } } })
      const answer = await withProof(server)
      expect(answer).toEqual({
        status: 429,
        code: 'too_many_requests',
        reason: 'replay_share',
        headers: { 'Retry-After': '13', 'Cache-Control': 'no-store' },
        body: { error: 'too_many_requests', error_description: 'Too many requests with DPoP proofs' }
      })
    })

    test('treats an error with the name alone, without a number of seconds, as an outage: 503', async () => {
      const add = (): boolean => {
        throw Object.assign(new Error('x'), { name: 'OwnerQuotaExceeded' })
      }
      expect(await withProof(api({ dpop: { replayStore: { add } } }))).toEqual(replayUnavailable)
    })

    test('DPP-22: a full store is an outage for everyone: 503', async () => {
      const server = api({ dpop: { replayStore: memoryOnceStore({ maxEntries: 2 }) } })
      for (const sub of ['a', 'b']) expect((await outcome(server, client({ sub })())).status).toBe(200)
      for (const sub of ['a', 'c']) expect(await outcome(server, client({ sub })())).toEqual(replayUnavailable)
    })
  })

  test('DPP-19: accepts exactly one of copies that come at once', async () => {
    const used = new Set<string>()
    const later = {
      add: async (one: string) => {
        await new Promise((resolve) => setImmediate(resolve))
        const isNew = !used.has(one)
        used.add(one)
        return isNew
      }
    }
    for (const options of [{}, { replayStore: later }] satisfies DpopOptions[]) {
      const server = api({ dpop: options })
      for (const alg of ['ES256', 'RS256'] as const) {
        const one = createDpopKey(alg)
        const bound = accessToken({ claims: { cnf: { jkt: one.jkt } } })
        const proof = one.proof({ token: bound })
        const answers = await Promise.all(
          Array.from({ length: 100 }, () => outcome(server, dpop(proof, { token: bound })))
        )
        expect(answers.filter(({ status }) => status === 200)).toHaveLength(1)
        expect(answers.filter(({ reason }) => reason === 'proof_replayed')).toHaveLength(99)
      }
    }
  })

  const broken: readonly (readonly [string, () => unknown])[] = [
    [
      'throws',
      () => {
        throw new Error('the secret of the store')
      }
    ],
    ['rejects', () => Promise.reject(new Error('the secret of the store'))],
    ['never answers', () => new Promise(() => undefined)],
    ['answers undefined', () => undefined],
    ['answers null', () => null],
    ['answers 1', () => 1],
    ['answers "OK"', () => 'OK'],
    ['resolves to undefined', async () => undefined],
    ['resolves to "true"', async () => 'true'],
    ['resolves to 0', async () => 0]
  ]
  for (const [how, add] of broken) {
    test(`DPP-22 DEN-16 (RFC 9449 §11.1): a store that ${how} is an outage: 503 without a challenge, and no request is accepted`, async () => {
      const server = api({
        dpop: { advertise: true, replayStore: { add: add as never } },
        callbackTimeout: 0.1
      })
      expect(await outcome(server, dpop(key.proof({ token })))).toEqual(replayUnavailable)
      // What needs no store does not miss it.
      expect(await outcome(server, bearer(accessToken()))).toEqual(granted)
      expect(await outcome(server, dpop('x'))).toEqual(proofRefused('proof_malformed'))
    })
  }

  test('DPP-22: ignores the failure of a store after its time', async () => {
    let fail = (_error: Error): void => undefined
    const late = new Promise<boolean>((_, reject) => {
      fail = reject
    })
    const rejections: unknown[] = []
    const note = (error: unknown): void => void rejections.push(error)
    process.on('unhandledRejection', note)
    const server = api({
      dpop: { advertise: true, replayStore: { add: () => late } },
      callbackTimeout: 0.1
    })
    expect(await outcome(server, dpop(key.proof({ token })))).toEqual(replayUnavailable)
    fail(new Error('late'))
    await new Promise((resolve) => setImmediate(resolve))
    process.off('unhandledRejection', note)
    expect(rejections).toEqual([])
  })

  test('DPP-22: keeps the cause for the log, and does not send it', async () => {
    const cause = new Error('redis://user:pass@host')
    const server = api({ dpop: { advertise: true, replayStore: { add: () => Promise.reject(cause) } } })
    const error = await refusal(() => server.authorize(dpop(key.proof({ token }))))
    expect(error).toMatchObject({ dependency: 'replay', cause })
    expect(await error.toResponse().text()).toBe('{"error":"temporarily_unavailable"}')
  })

  test('DPP-22: servers that share a store accept a proof once', async () => {
    const keys = new Set<string>()
    const replayStore = { add: (one: string) => !keys.has(one) && keys.add(one).size > 0 }
    const [one, two] = [
      api({ dpop: { advertise: true, replayStore } }),
      api({ dpop: { advertise: true, replayStore } })
    ] as const
    const proof = key.proof({ token })
    expect(await outcome(one, dpop(proof))).toEqual(granted)
    expect(await outcome(two, dpop(proof))).toEqual(proofRefused('proof_replayed'))
  })

  test('DPP-19: checks of nested routes use a proof once', async () => {
    const server = api({ dpop: { advertise: true } })
    const request = dpop(key.proof({ token }))
    const access = (await server.protect(scope('read')).authorize(request)) as Access
    expect(await server.protect(scope('read')).authorize(request, access)).toBe(access)
    await server.enforce(access, request, scope('read'))
    // Somebody else's grant is not taken for one of this server.
    const another = api({ dpop: { advertise: true } })
    expect(await another.protect().authorize(request, access)).not.toBe(access)
    await expect(async () => another.protect().authorize(request, access)).rejects.toMatchObject({
      reason: 'proof_replayed'
    })
  })

  test('DPP-21: a proof that a policy refuses is used up all the same', async () => {
    const server = api({ dpop: { advertise: true } })
    const proof = key.proof({ token })
    expect(await outcome(server, dpop(proof), scope('write'))).toEqual(dpopInsufficient('write'))
    expect(await outcome(server, dpop(proof))).toEqual(proofRefused('proof_replayed'))
  })
})

describe('RFC 9449 §8, §9: nonces', () => {
  const SECRET = 'a secret of thirty-two characters'
  const clocked = (options: DpopOptions = {}): { clock: ReturnType<typeof createClock>; server: ResourceServer } => {
    const clock = createClock(NOW)
    return {
      clock,
      server: api({ dpop: { advertise: true, nonces: 'required', nonceSecret: SECRET, ...options }, now: clock.now })
    }
  }

  test('DEF-07 DPP-33: asks for no nonce by default, and hands out none', async () => {
    const access = await accessOf(api({ dpop: { advertise: true } }), dpop(key.proof({ token })))
    expect(access.responseHeaders).toEqual({})
  })

  test('DPP-13 DPP-14 DPP-38 DEN-24 (RFC 9449 §9): with required, answers a proof without a nonce with one, in exactly one challenge', async () => {
    const { server } = clocked()
    const answer = await withProof(server)
    expect(answer).toEqual(nonceRequired(expect.stringMatching(/^[A-Za-z0-9_-]{30}$/)))
    expect(answer.headers['WWW-Authenticate']).toEqual([
      `DPoP error="use_dpop_nonce", error_description="Resource server requires nonce in DPoP proof", algs="${ALGS}", resource_metadata="${METADATA_URL}"`
    ])
    const nonce = String(answer.headers['DPoP-Nonce'])
    expect(await withProof(server, { nonce })).toEqual(granted)
  })

  test('DPP-29 (RFC 9449 §8.1): writes a nonce in the characters of NQCHAR, no more guessable than its secret', async () => {
    const { server, clock } = clocked()
    const same = await nonceOf(server)
    expect(same).toMatch(/^[\x21\x23-\x5B\x5D-\x7E]+$/)
    clock.advance(1)
    const next = await nonceOf(server)
    const elsewhere = clocked({ nonceSecret: `${SECRET}!` })
    elsewhere.clock.advance(1)
    expect(new Set([same, next, await nonceOf(elsewhere.server)]).size).toBe(3)
    // Time apart they share nothing.
    expect(next.slice(8)).not.toBe(same.slice(8))
  })

  const wrong: readonly (readonly [string, unknown])[] = [
    ['of another server', 'eyJ7S_zG.eyJH0-Z.HX4w-7v'],
    ['that is empty', ''],
    ['of another type: number', 1],
    ['of another type: null', null],
    ['of another type: array', ['x']],
    ['of another type: object', {}],
    ['too long', 'A'.repeat(2000)],
    ['of as many characters', 'A'.repeat(30)],
    ['with a comma', 'a,b']
  ]
  for (const [title, nonce] of wrong) {
    test(`DPP-13 DEN-24: with required, answers a nonce ${title} with another one`, async () => {
      const { server } = clocked()
      expect(await withProof(server, { claims: { nonce } })).toEqual(nonceRequired(expect.any(String)))
      expect(await withProof(clocked({ nonces: 'offered' }).server, { claims: { nonce } })).toEqual(
        nonceRequired(expect.any(String))
      )
    })
  }

  test('DPP-13: refuses a nonce that is altered in any character', async () => {
    const { server } = clocked()
    const nonce = await nonceOf(server)
    for (let i = 0; i < nonce.length; i++) {
      // The last character has unused bits: two others mean the same bytes.
      const altered = nonce.slice(0, i) + (nonce[i] === 'A' ? 'Q' : 'A') + nonce.slice(i + 1)
      expect((await withProof(server, { nonce: altered })).code, `${i}`).toBe(
        i === nonce.length - 1 && Buffer.from(altered, 'base64url').equals(Buffer.from(nonce, 'base64url'))
          ? undefined
          : 'use_dpop_nonce'
      )
    }
  })

  test('DPP-31 DPP-13 (RFC 9449 §9): refuses a nonce of another secret, another API or the authorization server', async () => {
    const { server } = clocked()
    const foreign = [
      await nonceOf(clocked({ nonceSecret: 'another secret of 32 characters.' }).server),
      await nonceOf(
        api(
          {
            dpop: { advertise: true, nonces: 'required', nonceSecret: SECRET },
            resource: 'https://api.example.com/v2'
          },
          { audience: 'https://api.example.com' }
        )
      ),
      await nonceOf(api({ dpop: { advertise: true, nonces: 'required' } }))
    ]
    for (const nonce of foreign) expect((await withProof(server, { nonce })).code).toBe('use_dpop_nonce')
    expect(await withProof(server, { nonce: await nonceOf(clocked().server) })).toEqual(granted)
  })

  test('DPP-15 DEF-06: a nonce tells how fresh a proof is, whatever its iat', async () => {
    for (const iat of [0, NOW - 86_400, NOW + 86_400, NOW]) {
      const { server } = clocked()
      expect(await withProof(server, { nonce: await nonceOf(server), at: iat })).toEqual(granted)
    }
    const { server, clock } = clocked()
    const nonce = await nonceOf(server)
    clock.advance(299)
    expect((await withProof(server, { nonce, at: NOW })).status).toBe(200)
  })

  test('DPP-13 DPP-15: accepts a nonce for 300 s, and 10 s ahead of this clock', async () => {
    const long = accessToken({ claims: { cnf: { jkt: key.jkt }, exp: NOW + 3600 } })
    const { server, clock } = clocked()
    const nonce = await nonceOf(server)
    const code = async (): Promise<string | undefined> =>
      (await withProof(server, { token: long, nonce }, { token: long })).code
    for (const [age, expected] of [
      [0, undefined],
      [299.9, undefined],
      [300, 'use_dpop_nonce'],
      [100_000, 'use_dpop_nonce'],
      [-10, undefined]
    ] as const) {
      clock.advance(NOW + age - clock.now())
      if (age < 3600) expect(await code(), `${age}`).toBe(expected)
    }
    clock.advance(NOW - 10.5 - clock.now())
    expect(await code()).toBe('use_dpop_nonce')
  })

  test('DPP-34: checks exp and nbf of a proof with a nonce too', async () => {
    const { server } = clocked()
    const nonce = await nonceOf(server)
    for (const claims of [{ exp: NOW - 10 }, { nbf: NOW + 11 }])
      expect(await withProof(server, { nonce, claims })).toEqual(proofRefused('proof_freshness'))
  })

  test('DPP-32 (RFC 9449 §11.1): accepts a nonce again in another proof', async () => {
    const { server } = clocked()
    const nonce = await nonceOf(server)
    for (const _ of [1, 2, 3]) expect(await withProof(server, { nonce })).toEqual(granted)
  })

  test('DPP-19 DPP-32: refuses a proof again, for as long as its nonce lasts', async () => {
    const long = accessToken({ claims: { cnf: { jkt: key.jkt }, exp: NOW + 3600 } })
    for (const start of [-10, 0, 120, 299]) {
      const clock = createClock(NOW)
      const replayStore = memoryOnceStore({ now: clock.now })
      const server = api({
        dpop: { advertise: true, nonces: 'required', nonceSecret: SECRET, replayStore },
        now: clock.now
      })
      const nonce = await nonceOf(server)
      clock.advance(start)
      const proof = key.proof({ token: long, nonce })
      const ask = (): Promise<Outcome> => outcome(server, dpop(proof, { token: long }))
      expect((await ask()).status).toBe(200)
      while (clock.now() < NOW + 300) {
        expect((await ask()).reason).toBe('proof_replayed')
        clock.advance(Math.min(20, NOW + 299.5 - clock.now() || 1))
      }
      expect((await ask()).code).toBe('use_dpop_nonce')
    }
  })

  test('DPP-21: does not use up a proof that it asks to use a nonce', async () => {
    const keys: string[] = []
    const { server } = clocked({ replayStore: { add: (one) => keys.push(one) > 0 } })
    const claims = { jti: 'same' }
    const nonce = String((await withProof(server, { claims })).headers['DPoP-Nonce'])
    expect(keys).toEqual([])
    expect(await withProof(server, { claims, nonce })).toEqual(granted)
    expect(keys).toHaveLength(1)
  })

  test('DEF-07: makes nonces with the first of two secrets, and checks with both', async () => {
    const [old, current] = ['the secret of before, 32 characters', 'the secret of today, 32 characters.']
    const before = clocked({ nonceSecret: old })
    const rotating = clocked({ nonceSecret: [current, old] })
    const after = clocked({ nonceSecret: current })
    const given = await nonceOf(before.server)
    expect(await withProof(rotating.server, { nonce: given })).toEqual(granted)
    const fresh = await nonceOf(rotating.server)
    expect(await withProof(rotating.server, { nonce: fresh })).toEqual(granted)
    expect(await withProof(after.server, { nonce: fresh })).toEqual(granted)
    expect(await nonceOf(after.server)).toBe(fresh)
    expect((await withProof(after.server, { nonce: given })).code).toBe('use_dpop_nonce')
    expect((await withProof(before.server, { nonce: fresh })).code).toBe('use_dpop_nonce')
  })

  test('DPP-30 (RFC 9449 §8.2): sends the next nonce with the answer past half its life, and forbids storing the answer', async () => {
    const long = accessToken({ claims: { cnf: { jkt: key.jkt }, exp: NOW + 3600 } })
    const { server, clock } = clocked()
    const nonce = await nonceOf(server)
    const headers = async (used: string, fields = {}): Promise<unknown> =>
      (await accessOf(server, dpop(key.proof({ token: long, nonce: used }), { token: long, fields }))).responseHeaders
    expect(await headers(nonce)).toEqual({})
    clock.advance(150)
    expect(await headers(nonce)).toEqual({})
    clock.advance(1)
    const answered = (await headers(nonce)) as Record<string, string>
    expect(answered).toEqual({ 'DPoP-Nonce': expect.any(String), 'Cache-Control': 'no-store' })
    expect(answered['DPoP-Nonce']).not.toBe(nonce)
    expect(await headers(String(answered['DPoP-Nonce']))).toEqual({})
    // HTTP-14: a script may read it.
    expect(await headers(nonce, { origin: 'https://app.example' })).toEqual({
      ...answered,
      'Access-Control-Expose-Headers': 'DPoP-Nonce'
    })
  })

  test('DPP-33 DPP-30: with offered, accepts a proof without a nonce by its iat, and sends one', async () => {
    const { server, clock } = clocked({ nonces: 'offered' })
    const access = await accessOf(server, dpop(key.proof({ token })))
    const { 'DPoP-Nonce': nonce, ...rest } = access.responseHeaders
    expect(rest).toEqual({ 'Cache-Control': 'no-store' })
    expect(await withProof(server, { at: NOW - 61 })).toEqual(proofRefused('proof_freshness'))
    clock.advance(100)
    const withNonce = await accessOf(server, dpop(key.proof({ token, nonce: String(nonce), at: NOW - 500 })))
    expect(withNonce.responseHeaders).toEqual({})
  })

  test('DPP-38 DEN-24: exposes the nonce to a script of another origin', async () => {
    const { server } = clocked()
    const { headers } = await withProof(server, {}, { fields: { origin: 'https://app.example' } })
    expect(headers).toEqual({
      ...nonceRequired(expect.any(String)).headers,
      'Access-Control-Expose-Headers': 'WWW-Authenticate, DPoP-Nonce'
    })
  })

  test('DPP-29: an answer carries one nonce, also where the renewed access of a nested check goes on', async () => {
    const { server } = clocked({ nonces: 'offered' })
    const request = dpop(key.proof({ token }))
    const access = (await server.protect().authorize(request)) as Access
    const again = (await server.protect(scope('read')).authorize(request, access)) as Access
    expect(again.responseHeaders).toEqual(access.responseHeaders)
  })

  test('sends a nonce only for a proof that passes the checks before it', async () => {
    const { server } = clocked()
    expect(await withProof(server, { method: 'PUT' })).toEqual(proofRefused('proof_method'))
    expect(await withProof(server, { url: 'https://evil.example/' })).toEqual(proofRefused('proof_target'))
    expect(await withProof(server, { key: other.key })).toEqual(proofRefused('proof_signature'))
    expect(await outcome(server, dpop([]))).toEqual(proofRefused('proof_missing'))
  })
})

describe('SEC-03', () => {
  test('SEC-03: compares values of any length and any characters', async () => {
    for (const ath of ['', 'x', 'é'.repeat(43), '\ud800'.repeat(43), 'x'.repeat(900)]) {
      const { status, reason } = await withProof(both, { claims: { ath } })
      expect([status, reason]).toEqual([401, ath === '' ? 'proof_claim' : 'proof_token'])
    }
  })
})

test('describes the settings without secrets', () => {
  const nonceSecret = 'a secret that nobody may ever see'
  expect(JSON.stringify(api({ dpop: { advertise: true, nonceSecret } }).describe())).not.toContain(nonceSecret)
})

test('refuses an issuer’s key as a client’s', async () => {
  // The key that signs tokens signs a proof: fine if the token is bound to it, and only then.
  const shared = createSigningKey('ES256', { kid: 'shared' })
  const asClient = createDpopKey('ES256', shared)
  expect(await outcome(both, dpop(asClient.proof({ token })))).toEqual(bindingRefused)
})
