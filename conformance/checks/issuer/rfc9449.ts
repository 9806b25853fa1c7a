/**
 * Checks of tokens bound to a DPoP key (RFC 9449 §4.3, §7): the proofs of OpenID's FAPI 2 modules, and the six checks of MCP's
 * SEP-1932. Each check first sends a good proof, which also gets the nonce if the API wants one.
 *
 * Tests: `test/conformance/mutants.suite.ts`.
 */
import { createHash, createHmac } from 'node:crypto'
import type { Check, CheckContext, Level, ProofFlaw, ProofKey, Source, WireRequest, WireResponse } from '../../check.js'
import * as names from '../names.js'
import * as source from '../sources.js'
import { type Fields, fieldOf, fromNow, isAccepted, requireAcceptance, requireRefusal, told } from './judge.js'

const FAPI = names.FAPI2_DPOP
const refusedText = 'The API refuses the request with 401.'
const changeProof = 'Check all points of RFC 9449 §4.3 before you use the token.'

/** A client with a bound token, whose first request the API accepted. */
export class ProvenClient {
  readonly key: ProofKey
  readonly token: string
  private readonly context: CheckContext
  nonce: string | undefined

  /** @param nonce  that the API gave to another client of the suite */
  constructor(context: CheckContext, key: ProofKey, nonce?: string) {
    this.context = context
    this.key = key
    this.nonce = nonce
    this.token = context.issuer.token({ claims: { cnf: { jkt: key.jkt } } })
  }

  proof(flaw: ProofFlaw = {}, key: ProofKey = this.key, token: string = this.token): string {
    const { url, declared } = this.context
    const nonce = this.nonce === undefined ? {} : { nonce: this.nonce }
    return key.proof(
      { method: declared.request?.method ?? 'GET', url: url.href, token },
      { ...flaw, claims: { ...nonce, ...flaw.claims } }
    )
  }

  request(proof: string, more: Fields = []): WireRequest {
    return { fields: [['Authorization', `DPoP ${this.token}`], ['DPoP', proof], ...more] }
  }

  /** Takes the nonce of an answer, for the next proof (RFC 9449 §8.2). */
  private learn(response: WireResponse): void {
    this.nonce = fieldOf(response, 'dpop-nonce') ?? this.nonce
  }

  /** Sends a good proof, a second time with the nonce if the API asks for one. */
  async prove(): Promise<WireResponse> {
    const first = await this.context.send(this.request(this.proof()))
    this.learn(first)
    if (isAccepted(first) || this.nonce === undefined) return first
    const second = await this.context.send(this.request(this.proof()))
    this.learn(second)
    return second
  }

  get hasNonce(): boolean {
    return this.nonce !== undefined
  }
}

/** @throws {Failed} the API refuses a good proof */
export async function provenClient(context: CheckContext): Promise<ProvenClient> {
  const client = new ProvenClient(context, context.issuer.dpopKey())
  const response = await client.prove()
  if (!isAccepted(response))
    context.fail({
      expected: 'The API accepts a good proof.',
      received: told(response),
      change:
        'Compare `htu` with the URL under which clients reach the API: behind a proxy, the API must be told its public URL.'
    })
  return client
}

interface ProofCheck {
  readonly id: string
  readonly title: string
  /** The point of §4.3, or undefined where no text demands the check. */
  readonly point?: string
  readonly also?: readonly string[]
  readonly request: (client: ProvenClient, context: CheckContext) => WireRequest
  /** Default: refused. */
  readonly isGood?: true
  readonly change?: string
  /** The text, if it is not §4.3. */
  readonly source?: Source
  /** Default: MUST with a text. */
  readonly level?: Level
}

function proofCheck({
  id,
  title,
  point,
  also,
  request,
  isGood,
  change = changeProof,
  source,
  level
}: ProofCheck): Check {
  const text = source ?? (point === undefined ? undefined : proofSource(point))
  return {
    id,
    title,
    profile: 'dpop',
    level: level ?? (text === undefined ? 'hardening' : 'MUST'),
    ...(text && { source: text }),
    ...(also && { also }),
    needs: ['issuer', 'dpop'],
    run: async (context) => {
      const client = await provenClient(context)
      const sent = request(client, context)
      if (isGood) await requireAcceptance(context, sent, 'The API accepts the request.', change)
      else await requireRefusal(context, sent, refusedText, change)
    }
  }
}

function proofSource(point: string): Source {
  return source.proofRule(point)
}

const ONE_FIELD = 'There is not more than one DPoP HTTP request header field.'
const WELL_FORMED = 'The DPoP HTTP request header field value is a single and well-formed JWT.'
const ALL_CLAIMS = 'All required claims per Section 4.2 are contained in the JWT.'
const TYP = 'The typ JOSE Header Parameter has the value dpop+jwt.'
const ALG =
  'The alg JOSE Header Parameter indicates a registered asymmetric digital signature algorithm [IANA.JOSE.ALGS], is not none, is supported by the application, and is acceptable per local policy.'
const SIGNATURE = 'The JWT signature verifies with the public key contained in the jwk JOSE Header Parameter.'
const NO_PRIVATE = 'The jwk JOSE Header Parameter does not contain a private key.'
const HTM = 'The htm claim matches the HTTP method of the current request.'
const HTU =
  'The htu claim matches the HTTP URI value for the HTTP request in which the JWT was received, ignoring any query and fragment parts.'

/** A proof with one flaw. */
function flawed(
  id: string,
  title: string,
  point: string | undefined,
  flaw: ProofFlaw | ((context: CheckContext) => ProofFlaw),
  also: readonly string[] = [FAPI, names.SEP_PROOF]
): Check {
  return proofCheck({
    id: `dpop-${id}`,
    title,
    ...(point !== undefined && { point }),
    also,
    request: (client, context) => client.request(client.proof(typeof flaw === 'function' ? flaw(context) : flaw))
  })
}

const missing: readonly Check[] = [
  ...(['jti', 'htm', 'htu', 'iat', 'ath'] as const).map((claim) =>
    flawed(`no-${claim}`, `A proof without \`${claim}\` is refused.`, ALL_CLAIMS, { claims: { [claim]: undefined } })
  ),
  flawed('no-typ', 'A proof without `typ` is refused.', TYP, { header: { typ: undefined } }),
  flawed('no-alg', 'A proof without `alg` is refused.', ALG, { header: { alg: undefined } }),
  flawed('no-jwk', 'A proof without a key is refused.', SIGNATURE, { header: { jwk: undefined } })
]

const contents: readonly Check[] = [
  flawed('typ', 'A proof of another type is refused.', TYP, { header: { typ: 'JWT' } }),
  flawed(
    'alg-none',
    'A proof with `alg: none` is refused.',
    ALG,
    { header: { alg: 'none' }, signature: () => Buffer.alloc(0) },
    [FAPI, names.SEP_ASYMMETRIC]
  ),
  flawed('signature', 'A proof with another signature is refused.', SIGNATURE, { signature: flipped }),
  flawed('no-signature', 'A proof without a signature is refused.', SIGNATURE, { signature: () => Buffer.alloc(0) }, [
    names.SEP_PROOF
  ]),
  flawed('htm', 'A proof for another method is refused.', HTM, { claims: { htm: 'PUT' } }),
  flawed(
    'htm-case',
    'A proof for the method in lower case is refused.',
    HTM,
    ({ declared }) => ({ claims: { htm: (declared.request?.method ?? 'GET').toLowerCase() } }),
    [names.SEP_PROOF]
  ),
  flawed('htu', 'A proof for another URL is refused.', HTU, { claims: { htu: 'https://another-api.example/' } }),
  flawed(
    'htu-path',
    'A proof for another path is refused.',
    HTU,
    ({ url }) => ({ claims: { htu: `${url.origin}${url.pathname}/more` } }),
    [names.SEP_PROOF]
  ),
  flawed(
    'htu-host',
    'A proof for another host, whose URL begins with the origin of the API, is refused.',
    HTU,
    ({ url }) => ({
      claims: { htu: `${url.origin}${url.port === '' ? '.' : '@'}attacker.example${url.pathname}` }
    }),
    [names.SEP_PROOF]
  ),
  flawed(
    'htu-scheme',
    'A proof for the same URL with the other scheme is refused.',
    HTU,
    ({ url }) => ({
      claims: { htu: `${url.protocol === 'https:' ? 'http:' : 'https:'}//${url.host}${url.pathname}` }
    }),
    [names.SEP_PROOF]
  ),
  flawed(
    'htu-port',
    'A proof for another port is refused.',
    HTU,
    ({ url }) => ({
      claims: { htu: `${url.protocol}//${url.hostname}:${url.port === '1' ? 2 : 1}${url.pathname}` }
    }),
    [names.SEP_PROOF]
  ),
  flawed(
    'ath',
    'A proof for another token is refused.',
    'ensure that the value of the ath claim equals the hash of that access token',
    { claims: { ath: 'A'.repeat(43) } }
  ),
  flawed('jti-number', 'A proof whose `jti` is a number is refused.', undefined, { claims: { jti: 5 } }, []),
  flawed(
    'iat-text',
    'A proof whose `iat` is text is refused.',
    undefined,
    ({ issuer }) => ({ claims: { iat: String(Math.floor(issuer.now())) } }),
    []
  ),
  flawed(
    'expired',
    'A proof that has an `exp` in the past is refused.',
    undefined,
    (context) => ({ claims: { exp: fromNow(context, -3600) } }),
    []
  )
]

function flipped(signature: Buffer): Buffer {
  const other = Buffer.from(signature)
  other[10] = (other[10] as number) ^ 1
  return other
}

/** The window of `iat`: a proof with a nonce need not be compared, so these are not applicable with nonces. */
const window: readonly Check[] = (
  [
    ['dpop-iat-old', 'A proof of an hour ago is refused.', -3600],
    ['dpop-iat-future', 'A proof of an hour ahead is refused.', 3600],
    ['dpop-iat-window', 'A proof of more than five minutes ago is refused.', -420]
  ] as const
).map(([id, title, seconds]) => ({
  id,
  title,
  profile: 'dpop',
  level: 'hardening',
  also: id === 'dpop-iat-window' ? [names.SEP_IAT] : [names.SEP_IAT, FAPI],
  needs: ['issuer', 'dpop'],
  run: async (context) => {
    const client = await provenClient(context)
    if (client.hasNonce) context.skip('the API uses nonces, which tell the age of a proof')
    const proof = client.proof({ claims: { iat: fromNow(context, seconds) } })
    await requireRefusal(context, client.request(proof), refusedText, 'Accept an `iat` of at most five minutes ago.')
  }
}))

const keys: readonly Check[] = [
  proofCheck({
    id: 'dpop-private-key',
    title: 'A proof whose `jwk` has a private part is refused.',
    point: NO_PRIVATE,
    also: [FAPI, names.SEP_PROOF],
    request: (client) => client.request(client.proof({ header: { jwk: { ...client.key.jwk, d: 'A'.repeat(43) } } }))
  }),
  proofCheck({
    id: 'dpop-hmac',
    title: 'A proof by a symmetric key is refused.',
    point: ALG,
    also: [names.SEP_ASYMMETRIC],
    request: hmacRequest
  }),
  proofCheck({
    id: 'dpop-other-key',
    title: 'A good proof by another key than the one in the token is refused.',
    point: 'confirm that the public key to which the access token is bound matches the public key from the DPoP proof',
    also: [FAPI, names.SEP_PROOF],
    request: (client, { issuer }) => client.request(client.proof({}, issuer.dpopKey()))
  }),
  proofCheck({
    id: 'dpop-key-swap',
    title: 'A proof that shows the key of the token and is signed by another one is refused.',
    point: SIGNATURE,
    request: (client, { issuer }) => client.request(client.proof({ header: { jwk: client.key.jwk } }, issuer.dpopKey()))
  })
]

/** The token is bound to the secret, so that nothing but the algorithm is wrong. */
function hmacRequest(client: ProvenClient, { issuer }: CheckContext): WireRequest {
  const secret = 'a secret that everybody knows'
  const jwk = { kty: 'oct', k: Buffer.from(secret).toString('base64url') }
  const jkt = createHash('sha256')
    .update(JSON.stringify({ k: jwk.k, kty: jwk.kty }))
    .digest('base64url')
  const token = issuer.token({ claims: { cnf: { jkt } } })
  const proof = client.proof({ header: { alg: 'HS256', jwk } }, client.key, token)
  const input = proof.slice(0, proof.lastIndexOf('.'))
  const signature = createHmac('sha256', secret).update(input).digest('base64url')
  return {
    fields: [
      ['Authorization', `DPoP ${token}`],
      ['DPoP', `${input}.${signature}`]
    ]
  }
}

const requests: readonly Check[] = [
  proofCheck({
    id: 'dpop-two-proofs',
    title: 'A request with two proofs is refused.',
    point: ONE_FIELD,
    also: [FAPI, names.SEP_PROOF],
    request: (client) => client.request(client.proof(), [['DPoP', client.proof()]])
  }),
  proofCheck({
    id: 'dpop-malformed',
    title: 'A proof that is not a JWT is refused.',
    point: WELL_FORMED,
    also: [FAPI, names.SEP_PROOF],
    request: (client) => client.request('not a proof')
  }),
  proofCheck({
    id: 'dpop-no-proof',
    title: 'A bound token without a proof is refused.',
    source: source.DPOP_ALL,
    also: [FAPI, names.SEP_PROOF],
    request: (client) => ({ fields: [['Authorization', `DPoP ${client.token}`]] })
  }),
  proofCheck({
    id: 'dpop-as-bearer',
    title: 'A bound token is not accepted as a bearer token.',
    source: source.DPOP_BEARER,
    also: [FAPI],
    request: (client) => ({ fields: [['Authorization', `Bearer ${client.token}`]] }),
    change: 'Refuse a token with `cnf.jkt` under the scheme Bearer.'
  }),
  proofCheck({
    id: 'dpop-as-bearer-with-proof',
    title: 'A bound token is not accepted as a bearer token beside its proof.',
    source: source.DPOP_BEARER,
    request: (client) => ({
      fields: [
        ['Authorization', `Bearer ${client.token}`],
        ['DPoP', client.proof()]
      ]
    }),
    change: 'Refuse a token with `cnf.jkt` under the scheme Bearer.'
  }),
  proofCheck({
    id: 'dpop-unbound',
    title: 'A token that is not bound is refused under the scheme DPoP.',
    source: source.DPOP_ALL,
    request: (client, { issuer }) => {
      const token = issuer.token({ claims: { cnf: undefined } })
      const proof = client.proof({}, client.key, token)
      return {
        fields: [
          ['Authorization', `DPoP ${token}`],
          ['DPoP', proof]
        ]
      }
    }
  }),
  proofCheck({
    id: 'dpop-audience',
    title: 'A bound token for another API is refused, although its proof is good.',
    source: source.AUDIENCE,
    also: [names.SEP_AUDIENCE],
    request: (client, { issuer }) => {
      const token = issuer.token({ claims: { aud: 'https://another-api.example', cnf: { jkt: client.key.jkt } } })
      const proof = client.proof({}, client.key, token)
      return {
        fields: [
          ['Authorization', `DPoP ${token}`],
          ['DPoP', proof]
        ]
      }
    }
  })
]

/** The modules that send the good proofs, where it is not the one of the negative tests. */
const GOOD_NAMES: Readonly<Record<string, string>> = {
  'dpop-good-iat-behind': names.FAPI2_IAT_BEFORE,
  'dpop-good-iat-ahead': names.FAPI2_IAT_AFTER,
  'dpop-good-exp': names.FAPI2_NBF_EXP
}

/** Proofs and requests that are unusual and good. */
const good: readonly Check[] = (
  [
    [
      'dpop-good-members',
      'Unknown members of a proof are ignored.',
      { header: { 'urn:example:a': 1 }, claims: { 'urn:example:b': 2 } }
    ],
    [
      'dpop-good-htu-query',
      'The query and the fragment of `htu` are ignored.',
      ({ url }: CheckContext) => ({ claims: { htu: `${url.origin}${url.pathname}?a=1#b` } })
    ],
    [
      'dpop-good-iat-behind',
      'A proof of ten seconds ago is accepted.',
      (context: CheckContext) => ({ claims: { iat: fromNow(context, -10) } })
    ],
    [
      'dpop-good-iat-ahead',
      'A proof of eight seconds ahead is accepted.',
      (context: CheckContext) => ({ claims: { iat: fromNow(context, 8) } })
    ],
    [
      'dpop-good-exp',
      'A proof with `nbf` and `exp` around the present is accepted.',
      (context: CheckContext) => ({ claims: { nbf: fromNow(context, -60), exp: fromNow(context, 60) } })
    ]
  ] as const
).map(([id, title, flaw]) =>
  proofCheck({
    id,
    title,
    // §4.3 lists what a proof must have. That nothing else may be asked, as §4.2 does of `htu`, stands nowhere.
    ...(id === 'dpop-good-htu-query' && { point: HTU, level: 'hardening' }),
    also: [GOOD_NAMES[id] ?? FAPI],
    isGood: true,
    request: (client, context) =>
      client.request(client.proof((typeof flaw === 'function' ? flaw(context) : flaw) as ProofFlaw)),
    change: 'Accept what RFC 9449 allows: clients do it.'
  })
)

const more: readonly Check[] = [
  proofCheck({
    id: 'dpop-good-scheme-case',
    title: 'The scheme `dpop` in lower case is accepted.',
    source: {
      name: 'RFC 9110',
      section: '§11.1',
      url: 'https://www.rfc-editor.org/rfc/rfc9110#section-11.1',
      quote: 'It uses a case-insensitive token to identify the authentication scheme'
    },
    level: 'hardening',
    also: [names.FAPI2_SCHEME_CASE],
    isGood: true,
    request: (client) => ({
      fields: [
        ['Authorization', `dpop ${client.token}`],
        ['DPoP', client.proof()]
      ]
    }),
    change: 'Compare the name of the scheme without regard to case.'
  }),
  proofCheck({
    id: 'dpop-good-query',
    title: 'The query of the request is not compared with `htu`.',
    point: HTU,
    also: [FAPI],
    isGood: true,
    request: (client, { url }) => ({ ...client.request(client.proof()), target: `${url.pathname}?conformance=1` }),
    change: 'Remove the query of the request before you compare it with `htu`.'
  }),
  proofCheck({
    id: 'dpop-good-field-case',
    title: 'The field name `DPOP` in upper case is accepted.',
    source: {
      name: 'RFC 9110',
      section: '§5.1',
      url: 'https://www.rfc-editor.org/rfc/rfc9110#section-5.1',
      quote: 'Field names are case-insensitive'
    },
    level: 'hardening',
    also: [FAPI],
    isGood: true,
    request: (client) => ({
      fields: [
        ['Authorization', `DPoP ${client.token}`],
        ['DPOP', client.proof()]
      ]
    }),
    change: 'Look for the field without regard to the case of its name.'
  }),
  normalized('dpop-good-htu-case', 'The scheme and the host of `htu` are compared without regard to case.', ({ url }) =>
    url.href.replace(url.origin, url.origin.toUpperCase())
  ),
  normalized('dpop-good-htu-port', 'The default port in `htu` is ignored.', ({ url, skip }) => {
    if (url.port !== '') skip('the URL has another port than the default one')
    return `${url.origin}:${url.protocol === 'https:' ? 443 : 80}${url.pathname}`
  })
]

/** A check of a proof whose `htu` is ours only after normalization (RFC 3986 §6.2.2, §6.2.3). */
function normalized(id: string, title: string, htu: (context: CheckContext) => string): Check {
  const check = proofCheck({
    id,
    title,
    point:
      'To reduce the likelihood of false negatives, servers SHOULD employ syntax-based normalization (Section 6.2.2 of [RFC3986]) and scheme-based normalization (Section 6.2.3 of [RFC3986]) before comparing the htu claim.',
    also: [FAPI],
    isGood: true,
    request: (client, context) => client.request(client.proof({ claims: { htu: htu(context) } })),
    change: 'Parse `htu` as a URL before you compare it.'
  })
  return { ...check, level: 'SHOULD' }
}

const replay: Check = {
  id: 'dpop-replay',
  title: 'A proof is accepted once.',
  profile: 'dpop',
  level: 'hardening',
  also: [FAPI],
  needs: ['issuer', 'dpop'],
  run: async (context) => {
    const client = await provenClient(context)
    const request = client.request(client.proof())
    await requireAcceptance(context, request, 'The API accepts the proof the first time.', changeProof)
    await requireRefusal(
      context,
      request,
      'The API refuses the same proof the second time.',
      'Keep each `jti` for as long as its proof is accepted, or use nonces of a few seconds.'
    )
  }
}

const nonce: Check = {
  id: 'dpop-nonce',
  title: 'A proof with a nonce that the API never gave is refused, where it uses nonces.',
  profile: 'dpop',
  level: 'MUST',
  source: proofSource(
    'If the server provided a nonce value to the client, the nonce claim matches the server-provided nonce value'
  ),
  also: [names.SEP_NONCE],
  needs: ['issuer', 'dpop'],
  run: async (context) => {
    const client = await provenClient(context)
    if (!client.hasNonce) context.skip('the API gives no nonces')
    const proof = client.proof({ claims: { nonce: 'not-a-nonce-of-this-api' } })
    await requireRefusal(context, client.request(proof), refusedText, 'Compare the nonce with those that you gave.')
  }
}

const challenge: Check = {
  id: 'dpop-challenge',
  title: 'The challenge for a proof that is not good names the scheme DPoP and an error.',
  profile: 'dpop',
  level: 'hardening',
  also: [names.SEP_401],
  needs: ['issuer', 'dpop'],
  run: async (context) => {
    const client = await provenClient(context)
    const expected = 'The API answers 401 with `WWW-Authenticate: DPoP error="invalid_dpop_proof"`.'
    const change = 'Answer 401 with a challenge of the scheme DPoP, so that the client makes another proof.'
    const response = await requireRefusal(
      context,
      client.request(client.proof({ signature: flipped })),
      expected,
      change
    )
    const value = fieldOf(response, 'www-authenticate') ?? ''
    if (
      response.status !== 401 ||
      !/\bDPoP\b.*\berror="(?:invalid_dpop_proof|use_dpop_nonce|invalid_token)"/i.test(value)
    )
      context.fail({ expected, received: told(response), change })
  }
}

/** RFC 9449. */
export const rfc9449: readonly Check[] = [
  ...missing,
  ...contents,
  ...window,
  ...keys,
  ...requests,
  ...good,
  ...more,
  replay,
  nonce,
  challenge
]
