/**
 * Checks of signatures, algorithms and keys (RFC 7515, RFC 7517, RFC 7518, RFC 8725): what a token may say about its own
 * verification, and what it may not.
 *
 * Tests: `test/conformance/mutants.suite.ts`.
 */
import { createHmac } from 'node:crypto'
import type { Check, CheckContext, TokenFlaw } from '../../check.js'
import {
  type FlawedToken,
  fromNow,
  isAccepted,
  refuses,
  requireAcceptance,
  requireAlgorithm,
  requireRefusal,
  withToken
} from '../issuer/judge.js'
import * as source from '../sources.js'

const profile = 'rfc9068'
const changeKey =
  'Verify with the published keys of the issuer only; never with a key or an address that the token names.'
const changeAlgorithm = 'Fix the accepted algorithms in the configuration, and take each key for one algorithm only.'
const changeBytes = 'Read the segments of a JWS as base64url without padding, whitespace or other characters.'
const changeSignature = 'Verify the signature of each token, with a library that follows RFC 7518.'

/** Reads the flaws of one kind, which share the profile, the text and the advice. */
function group(
  shared: Pick<FlawedToken, 'change'> & Partial<FlawedToken>,
  flaws: readonly (readonly [id: string, title: string, flaw: FlawedToken['flaw']])[]
): readonly Check[] {
  return flaws.map(([id, title, flaw]) => refuses({ profile, ...shared, id, title, flaw }))
}

/** The order of the curve P-256, as 32 octets. */
const ORDER = Buffer.from('ffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551', 'hex')
const ZERO = Buffer.alloc(32)
const ONE = Buffer.concat([Buffer.alloc(31), Buffer.of(1)])

const signatures: readonly Check[] = group({ source: source.SIGNATURE, change: changeSignature }, [
  [
    'jws-unpublished-key',
    'A token signed by an unpublished key with a published `kid` is refused.',
    { key: 'unpublished' }
  ],
  ['jws-tampered', 'A token whose claims were changed after it was signed is refused.', tampered],
  ['jws-no-signature', 'A token with an empty signature is refused.', { signature: () => Buffer.alloc(0) }],
  ['jws-cut-signature', 'A token with half of its signature is refused.', { signature: (one) => one.subarray(0, 128) }],
  [
    'jws-zero-signature',
    'A token whose signature is all zero is refused.',
    { signature: (one) => Buffer.alloc(one.length) }
  ],
  [
    'jws-long-signature',
    'A signature with further octets is refused.',
    { signature: (one) => Buffer.concat([one, ONE]) }
  ]
])

function tampered({ issuer }: CheckContext): TokenFlaw {
  const other = issuer.token({ claims: { sub: 'somebody-else' } }).split('.')[1] as string
  return { text: (token) => token.replace(/\.[^.]*\./, () => `.${other}.`) }
}

const ecdsa: readonly Check[] = group({ source: source.ECDSA_LENGTH, change: changeSignature }, [
  ['ecdsa-zero', 'An ECDSA signature of zeros is refused.', edge(Buffer.concat([ZERO, ZERO]))],
  ['ecdsa-r-zero', 'An ECDSA signature with r = 0 and s = 1 is refused.', edge(Buffer.concat([ZERO, ONE]))],
  ['ecdsa-s-zero', 'An ECDSA signature with r = 1 and s = 0 is refused.', edge(Buffer.concat([ONE, ZERO]))],
  [
    'ecdsa-order',
    'An ECDSA signature with r = s = the order of the curve is refused.',
    edge(Buffer.concat([ORDER, ORDER]))
  ],
  ['ecdsa-der', 'An ECDSA signature in DER is refused.', { algorithm: 'ES256', signature: toDer }],
  [
    'ecdsa-long',
    'An ECDSA signature of 65 octets is refused.',
    { algorithm: 'ES256', signature: (one) => Buffer.concat([one, Buffer.of(0)]) }
  ]
])

function edge(signature: Buffer): TokenFlaw {
  return { algorithm: 'ES256', signature: () => signature }
}

function toDer(raw: Buffer): Buffer {
  const integer = (bytes: Buffer): Buffer => {
    const start = bytes.findIndex((one) => one !== 0)
    const value = bytes.subarray(start === -1 ? bytes.length - 1 : start)
    const positive = (value[0] as number) & 0x80 ? Buffer.concat([Buffer.of(0), value]) : value
    return Buffer.concat([Buffer.of(0x02, positive.length), positive])
  }
  const content = Buffer.concat([integer(raw.subarray(0, 32)), integer(raw.subarray(32))])
  return Buffer.concat([Buffer.of(0x30, content.length), content])
}

const none: readonly Check[] = group({ source: source.ALG_NONE, change: changeAlgorithm }, [
  ['alg-none', 'A token with `alg: none` and no signature is refused.', unsigned('none')],
  ['alg-none-case', 'A token with `alg: nOnE` is refused.', unsigned('nOnE')],
  ['alg-none-signed', 'A token with `alg: none` and a signature is refused.', { header: { alg: 'none' } }]
])

function unsigned(alg: string): TokenFlaw {
  return { header: { alg }, key: () => Buffer.alloc(0) }
}

const algorithms: readonly Check[] = [
  ...group({ source: source.ALLOWED_ALGORITHMS, change: changeAlgorithm }, [
    [
      'alg-hmac-pem',
      'The public key as PEM is not a secret for HS256.',
      ({ issuer }) => hmac(issuer.publicKey('RS256').pem)
    ],
    [
      'alg-hmac-pem-trimmed',
      'The public key as PEM without its last line end is not a secret for HS256.',
      ({ issuer }) => hmac(issuer.publicKey('RS256').pem.trimEnd())
    ],
    [
      'alg-hmac-jwk',
      'The public key as JWK is not a secret for HS256.',
      ({ issuer }) => hmac(JSON.stringify(issuer.publicKey('RS256').jwk))
    ],
    [
      'alg-hmac-modulus',
      'The modulus of the public key is not a secret for HS256.',
      ({ issuer }) => hmac(Buffer.from(String(issuer.publicKey('RS256').jwk['n']), 'base64url'))
    ],
    [
      'alg-hmac-empty',
      'An empty secret for HS256 with an unknown `kid` is refused.',
      { ...hmac(''), header: { alg: 'HS256', kid: '../../../../dev/null' } }
    ],
    ['alg-unknown', 'A token with an algorithm that does not exist is refused.', { header: { alg: 'XX256' } }],
    ['alg-missing', 'A token without `alg` is refused.', { header: { alg: undefined } }],
    ['alg-number', 'A token whose `alg` is a number is refused.', { header: { alg: 256 } }]
  ]),
  ...group({ source: source.ONE_ALGORITHM, change: changeAlgorithm }, [
    ['alg-other-of-key', 'A key published for RS256 does not verify PS256.', { algorithm: 'PS256', keyOf: 'RS256' }],
    ['alg-curve-mix', 'A token that names an RSA key and ES256 is refused.', { header: { alg: 'ES256' } }]
  ]),
  ...group({ source: source.RSA_SIZE, change: 'Ignore published RSA keys of less than 2048 bits.' }, [
    ['rsa-1024', 'A published RSA key of 1024 bits verifies nothing.', { key: 'weak' }]
  ]),
  ...group({ change: 'Ignore published keys whose `use` is not `sig`.' }, [
    ['jwk-use-enc', 'A published key for encryption verifies nothing.', { key: 'encryption' }]
  ]),
  ...group({ change: 'Choose the key by the `kid` of the token, and no other key if none has it.' }, [
    [
      'jws-kid-unknown',
      'A token that names an unknown key is refused, although a published key signed it.',
      { header: { kid: 'a-key-that-was-withdrawn' } }
    ]
  ])
]

function hmac(secret: string | Buffer): TokenFlaw {
  return { header: { alg: 'HS256' }, key: (input) => createHmac('sha256', secret).update(input).digest() }
}

/** Header members that name a key or a place of keys. Tokens with them are signed by a key of an attacker. */
const KEY_PLACES: readonly (readonly [
  id: string,
  title: string,
  header: (canary: string, jwk: object, certificate: string) => object
])[] = [
  ['jwk', 'A key inside the token is not used.', (_, jwk) => ({ jwk, kid: undefined })],
  ['jwk-kid', 'A key inside the token with its own `kid` is not used.', (_, jwk) => ({ jwk, kid: 'attacker' })],
  [
    'jku',
    'An address of keys in `jku` is neither used nor requested.',
    (canary) => ({ jku: `${canary}jku`, kid: 'attacker' })
  ],
  [
    'x5u',
    'An address of a certificate in `x5u` is neither used nor requested.',
    (canary) => ({ x5u: `${canary}x5u`, kid: 'attacker' })
  ],
  ['x5c', 'A certificate in `x5c` that is not one does not break the API.', () => ({ x5c: ['AAAA'], kid: 'attacker' })],
  [
    'x5c-key',
    'The key of a certificate in `x5c` is not used.',
    (_canary, _jwk, certificate) => ({ x5c: [certificate], kid: undefined })
  ],
  ['kid-url', 'A `kid` that is a URL is not requested.', (canary) => ({ kid: `${canary}kid` })],
  ['kid-path', 'A `kid` that is a path of a file is refused.', () => ({ kid: '../../../../etc/passwd' })],
  ['kid-sql', 'A `kid` with SQL is refused.', () => ({ kid: "x' UNION SELECT 'secret" })],
  [
    'kid-prototype',
    'A `kid` that is a name of a JavaScript or Python object is refused.',
    () => ({ kid: '__proto__' })
  ],
  ['kid-object', 'A `kid` that is an object is refused.', () => ({ kid: { a: 1 } })],
  ['kid-long', 'A `kid` of 4,000 characters is refused.', () => ({ kid: 'k'.repeat(4000) })]
]

const keyPlaces: readonly Check[] = KEY_PLACES.map(([id, title, headerOf]) => ({
  id: `jws-${id}`,
  title,
  profile,
  level: 'MUST',
  source: source.SIGNATURE,
  needs: ['issuer'],
  run: async (context) => {
    const { issuer } = context
    const header = {
      ...headerOf(issuer.canary, { ...issuer.strangerKey(), kid: 'attacker' }, issuer.strangerCertificate())
    }
    const path = `/canary/${id.replace('kid-url', 'kid')}`
    const before = requestsFor(context, path)
    const expected = 'The API refuses the token with 401, and requests nothing that the token names.'
    await requireRefusal(context, withToken(issuer.token({ header, key: 'unpublished' })), expected, changeKey)
    requireSilence(context, path, before)
  }
}))

/** How many requests for a path the authorization server has seen. */
export function requestsFor({ issuer }: CheckContext, path: string): number {
  // RFC 8414 §3.1 inserts the well-known string in front of the path of an issuer.
  const isMeant = (one: string): boolean => (path.startsWith('/canary/') ? one.includes(path) : one.startsWith(path))
  return issuer.requests.filter((request) => isMeant(request.path)).length
}

/** @param before  the count before the check. @throws {Failed} the API requested a place that only a token names */
export function requireSilence(context: CheckContext, path: string, before: number): void {
  if (requestsFor(context, path) > before)
    context.fail({
      expected: 'The API requests no address that a token names.',
      received: `The API requested ${path} of the canary.`,
      change: changeKey
    })
}

const changeCrit = 'Refuse a token with a `crit` that lists anything you do not implement.'

const crit: readonly Check[] = [
  ...group({ source: source.CRIT, change: changeCrit }, [
    [
      'jws-crit-unknown',
      'A token with an unknown critical member is refused.',
      { header: { crit: ['urn:example:unknown'], 'urn:example:unknown': true } }
    ],
    [
      'jws-crit-absent',
      'A token whose critical member is not in its header is refused.',
      { header: { crit: ['urn:example:absent'] } }
    ],
    ['jws-b64', 'A token with the unencoded payload of RFC 7797 is refused.', { header: { crit: ['b64'], b64: false } }]
  ]),
  ...group(
    { source: source.CRIT_MISUSED, level: 'MAY', change: 'Refuse a token whose `crit` is not a list of names.' },
    [
      ['jws-crit-empty', 'A token with an empty list of critical members is refused.', { header: { crit: [] } }],
      ['jws-crit-text', 'A token whose `crit` is text is refused.', { header: { crit: 'exp' } }]
    ]
  )
]

/** Members that stand twice: the API uses the last one, which it refuses alone, or it refuses both. */
const TWICE: readonly (readonly [
  id: string,
  title: string,
  part: 'header' | 'claims',
  last: (context: CheckContext) => Readonly<Record<string, unknown>>
])[] = [
  [
    'jwt-exp-twice',
    'Of an `exp` that stands twice, the last one counts or the token is refused.',
    'claims',
    (context) => ({ exp: fromNow(context, -3600) })
  ],
  [
    'jwt-aud-twice',
    'Of an `aud` that stands twice, the last one counts or the token is refused.',
    'claims',
    () => ({ aud: 'https://another-api.example' })
  ],
  [
    'jwt-iss-twice',
    'Of an `iss` that stands twice, the last one counts or the token is refused.',
    'claims',
    () => ({ iss: 'https://another-issuer.example' })
  ],
  [
    'jws-alg-twice',
    'Of an `alg` that stands twice, the last one counts or the token is refused.',
    'header',
    () => ({ alg: 'none' })
  ],
  [
    'jws-typ-twice',
    'Of a `typ` that stands twice, the last one counts or the token is refused.',
    'header',
    () => ({ typ: 'JWT' })
  ]
]

const repeated: readonly Check[] = TWICE.map(([id, title, part, last]) => ({
  id,
  title,
  profile,
  level: 'MUST',
  source: part === 'header' ? source.HEADER_UNIQUE : source.CLAIMS_UNIQUE,
  needs: ['issuer'],
  run: async (context) => {
    const member = last(context)
    const alone = context.issuer.token({ [part]: member })
    // Another check finds this: an API that does not look at the member cannot tell which of two it would take.
    if (isAccepted(await context.send(withToken(alone)))) context.skip('the API accepts the last value alone')
    const written = JSON.stringify(member).slice(1, -1)
    const append = (json: string): string => `${json.slice(0, -1)},${written}}`
    const token = context.issuer.token(part === 'header' ? { headerText: append } : { claimsText: append })
    const change = 'Refuse JSON with a member twice, or use the last one everywhere.'
    await requireRefusal(context, withToken(token), 'The API refuses the token with 401.', change)
  }
}))

const shapes: readonly Check[] = [
  ...group({ source: source.BASE64, change: changeBytes }, [
    ['jws-padding', 'A token with padding in its signature is refused.', { text: (token) => `${token}==` }],
    [
      'jws-trailing-character',
      'A token with a character behind the signature is refused.',
      { text: (token) => `${token}~` }
    ]
  ]),
  ...group({ change: 'Refuse a token that is not three segments of base64url around JSON objects.' }, [
    ['jws-claims-array', 'A token whose claims are a list is refused.', { claimsText: (json) => `[${json}]` }],
    ['jws-claims-text', 'A token whose claims are not JSON is refused.', { claimsText: () => 'not json' }],
    ['jws-claims-null', 'A token whose claims are `null` is refused.', { claimsText: () => 'null' }],
    [
      'jws-claims-deep',
      'A token whose claims nest 2,000 deep is refused or accepted, and breaks nothing.',
      {
        key: 'unpublished',
        claims: { exp: undefined },
        claimsText: (json) => `${json.slice(0, -1)},"a":${'['.repeat(2000)}${']'.repeat(2000)}}`
      }
    ],
    ['jws-header-array', 'A token whose header is a list is refused.', { headerText: (json) => `[${json}]` }],
    ['jws-header-null', 'A token whose header is `null` is refused.', { headerText: () => 'null' }],
    [
      'jws-two-parts',
      'A token of two segments is refused.',
      { text: (token) => token.slice(0, token.lastIndexOf('.')) }
    ],
    ['jws-four-parts', 'A token of four segments is refused.', { text: (token) => `${token}.AAAA` }],
    [
      'jws-five-parts',
      'A token of five segments that is not encrypted is refused.',
      { text: (token) => `${token}.AAAA.AAAA` }
    ],
    ['jwt-sub-number', 'A token whose `sub` is a number is refused.', { claims: { sub: 5 } }],
    [
      'jwt-aud-object',
      'A token whose `aud` is an object is refused.',
      ({ issuer }) => ({ claims: { aud: { [issuer.audience]: true } } })
    ]
  ])
]

const goodEcdsa: Check = {
  id: 'alg-es256-of-another-key',
  title: 'An ES256 token that names the key of another algorithm is refused.',
  profile,
  level: 'MUST',
  source: source.ONE_ALGORITHM,
  needs: ['issuer'],
  run: async (context) => {
    await requireAlgorithm(context, 'ES256')
    const { kid } = context.issuer.publicKey('EdDSA').jwk
    const token = context.issuer.token({ algorithm: 'ES256', header: { kid } })
    await requireRefusal(context, withToken(token), 'The API refuses the token with 401.', changeAlgorithm)
  }
}

/** A cache by the claims, or by a part of the token, takes a forged one for the token that it knows. */
const cached: Check = {
  id: 'jws-cached-signature',
  title: 'After a good token, the same token with another signature is refused, and so is one with the same `jti`.',
  profile,
  level: 'MUST',
  source: source.VALID_SIGNATURE,
  needs: ['issuer'],
  run: async (context) => {
    const { issuer } = context
    const claims = { jti: `suite-${Math.floor(issuer.now() * 1000)}` }
    const good = issuer.token({ claims })
    const change = 'Key the cache of verified tokens by the whole token, or by its hash.'
    await requireAcceptance(context, withToken(good), 'The API accepts the good token.', change)
    const other = good.slice(0, -10) + (good.at(-10) === 'A' ? 'B' : 'A') + good.slice(-9)
    for (const token of [other, issuer.token({ claims, key: 'unpublished' })])
      await requireRefusal(context, withToken(token), 'The API refuses the token with 401.', change)
  }
}

/** RFC 7515 to RFC 7519, RFC 8725. */
export const jose: readonly Check[] = [
  ...signatures,
  cached,
  ...ecdsa,
  ...none,
  ...algorithms,
  goodEcdsa,
  ...keyPlaces,
  ...crit,
  ...repeated,
  ...shapes
]
