/**
 * The suite catches APIs with one weakness each, by the check that is meant for it and by few others; and it finds nothing in the
 * same API without a weakness. The others are those that the weakness breaks too.
 */
import { afterAll, beforeAll, expect, test } from 'vitest'
import type { Check } from '../../conformance/check.js'
import { issuerChecks } from '../../conformance/checks/issuer/index.js'
import { oddKeyChecks } from '../../conformance/checks/jose/wycheproof.js'
import { type RunningIssuer, startSuiteIssuer } from '../../conformance/issuer.js'
import { runConformance } from '../../conformance/run.js'
import { DECLARED, HAS } from './oracle.js'
import { startWeakApi } from './weak-api.js'

/** Keys take long to make, so all APIs trust one issuer. */
let issuer: RunningIssuer

beforeAll(async () => {
  issuer = await startSuiteIssuer({ port: 0, audience: 'https://api.example.com/orders', scope: 'orders:read' })
})
afterAll(() => issuer.close())

/** Checks that wait until the API has read another key set, too. */
const takesTime = (check: Check): boolean =>
  check.isTimed === true || check.profile === 'faults' || oddKeyChecks.includes(check)
const quick = issuerChecks.filter((check) => !takesTime(check))

/** Ids of the checks that fail or break, in the order of the alphabet. */
async function failuresOf(weakness: string | undefined, checks: readonly Check[]): Promise<readonly string[]> {
  const { url, restart } = await startWeakApi(weakness, issuer)
  const declared = { ...DECLARED, restart, revocationSeconds: 0.3, recoverySeconds: 4 }
  const report = await runConformance(url, { issuer, has: HAS, declared, checks, methods: true, timeout: 6000 })
  return report.results
    .filter(({ verdict }) => verdict === 'failed' || verdict === 'error')
    .map(({ id }) => id)
    .toSorted()
}

/** Weaknesses, and the checks that found them, for the table that the run ends with. */
const found: (readonly [weakness: string, id: string, others: readonly string[]])[] = []

function keep(weakness: string, id: string, failed: readonly string[]): void {
  if (failed.includes(id)) found.push([weakness, id, failed.filter((one) => one !== id)])
}

afterAll(() => {
  const width = Math.max(...found.map(([weakness]) => weakness.length))
  const rows = found.map(([weakness, id, others]) => `${weakness.padEnd(width)}  ${id}${toldShort(others)}`)
  const all = WEAK.length + SLOW.length
  process.stdout.write(
    `\n${rows.join('\n')}\n\n${found.length} of ${all} weaknesses are found by the check meant for them.\n`
  )
})

function toldShort(others: readonly string[]): string {
  return others.length === 0 ? '' : `, and ${others.length} more`
}

test('an API written by hand passes all checks with the issuer', { timeout: 600_000 }, async () => {
  expect(await failuresOf(undefined, issuerChecks)).toEqual([])
})

test('the same API passes all checks when it asks for signed answers', { timeout: 180_000 }, async () => {
  expect(await failuresOf('signed answers', quick)).toEqual([])
})

/** A weakness, the check that is meant for it, and the other checks that see it too. */
const WEAK: readonly (readonly [weakness: string, id: string, others: readonly string[]])[] = [
  ['401 for scopes', 'scope-challenge', []],
  ['DPoP in one case', 'dpop-good-scheme-case', []],
  ['DPoP without a proof', 'dpop-no-proof', []],
  ['ECDSA cut', 'ecdsa-long', []],
  ['ECDSA in DER', 'ecdsa-der', []],
  ['ECDSA of zeros', 'ecdsa-zero', ['ecdsa-r-zero']],
  ['HMAC by JWK', 'alg-hmac-jwk', []],
  ['HMAC by PEM', 'alg-hmac-pem', ['alg-hmac-pem-trimmed']],
  ['JSON errors break', 'jws-claims-text', []],
  ['JWE breaks', 'jws-five-parts', []],
  ['acr by prefix', 'rfc9470-acr-longer', []],
  ['acr', 'rfc9470-acr-other', ['rfc9470-acr-longer']],
  ['active compared as truth', 'rfc7662-active-number', []],
  ['active compared loosely', 'rfc7662-active-text', []],
  ['alg nOnE', 'alg-none-case', []],
  ['alg none', 'alg-none', ['alg-none-signed']],
  ['alg of key ignored', 'alg-other-of-key', []],
  ['aud by prefix', 'rfc9068-aud-longer', ['rfc9068-aud-slash', 'rfc7662-aud-prefix']],
  ['aud in any case', 'rfc9068-aud-case', ['rfc7662-aud-case']],
  ['aud inside', 'rfc9068-aud-inside', []],
  ['aud not a list', 'rfc9068-aud-array', []],
  ['aud object', 'jwt-aud-object', []],
  ['aud of answer', 'rfc7662-aud-other', ['rfc7662-aud-prefix', 'rfc7662-aud-case', 'rfc7662-aud-array-other']],
  ['aud shorter', 'rfc9068-aud-prefix', ['rfc9068-aud-origin']],
  ['aud with slash', 'rfc9068-aud-slash', []],
  [
    'aud',
    'rfc9068-aud-other',
    [
      'rfc9068-aud-origin',
      'rfc9068-aud-pattern',
      'rfc9068-aud-missing',
      'rfc9068-aud-array-other',
      'rfc9068-aud-empty',
      'rfc9068-aud-prefix',
      'rfc9068-aud-longer',
      'rfc9068-aud-case',
      'rfc9068-aud-slash',
      'rfc9068-aud-inside',
      'jwt-aud-object',
      'dpop-audience'
    ]
  ],
  ['auth_time', 'rfc9470-max-age', []],
  ['b64', 'jws-b64', []],
  ['base64 read leniently', 'jws-padding', ['jws-trailing-character']],
  ['bound to two keys, one checked', 'rfc8705-two-bindings', []],
  [
    'bound token as Bearer',
    'dpop-as-bearer',
    ['rfc7662-dpop-as-bearer', 'dpop-as-bearer-with-proof', 'rfc8705-two-bindings']
  ],
  [
    'certificate',
    'rfc8705-other',
    ['rfc7662-certificate-other', 'rfc8705-thumbprint-prefix', 'rfc8705-thumbprint-number']
  ],
  ['crit', 'jws-crit-unknown', ['jws-crit-absent', 'jws-crit-empty', 'jws-crit-text', 'jws-b64']],
  ['empty aud', 'rfc9068-aud-empty', []],
  ['empty crit', 'jws-crit-empty', []],
  ['empty signature', 'jws-no-signature', ['alg-none', 'alg-none-case']],
  ['exp as text', 'rfc9068-exp-text', []],
  ['exp of answer', 'rfc7662-exp-past', []],
  ['exp', 'rfc9068-exp-past', ['rfc9068-exp-missing', 'rfc9068-exp-text', 'rfc9068-leeway', 'rfc9068-error-code']],
  ['first active of two', 'rfc7662-active-twice', []],
  ['first alg of two', 'jws-alg-twice', []],
  ['first aud of two', 'jwt-aud-twice', []],
  ['first certificate of two', 'rfc9440-twice', []],
  ['first exp of two', 'jwt-exp-twice', []],
  ['first iss of two', 'jwt-iss-twice', []],
  ['first typ of two', 'jws-typ-twice', []],
  ['further segments ignored', 'jws-four-parts', ['jws-five-parts']],
  ['htm in any case', 'dpop-htm-case', []],
  ['htu by prefix', 'dpop-htu-path', ['dpop-good-htu-case']],
  ['htu with its query', 'dpop-good-htu-query', []],
  ['iat as text', 'dpop-iat-text', []],
  ['iat in the future', 'rfc9068-iat-future', []],
  [
    'inactive accepted',
    'rfc7662-inactive-members',
    ['rfc7662-active-missing', 'rfc7662-active-text', 'rfc7662-active-number', 'rfc7662-active-twice']
  ],
  ['infinite exp', 'rfc9068-exp-infinite', []],
  ['iss by prefix', 'rfc9068-iss-slash', ['rfc9068-iss-prefix']],
  ['iss in any case', 'rfc9068-iss-case', []],
  ['iss of answer', 'rfc7662-iss-other', []],
  ['iss requested', 'canary', []],
  ['iss with slash', 'rfc9068-iss-slash', []],
  ['iss', 'rfc9068-iss-other', ['rfc9068-iss-missing', 'rfc9068-iss-slash', 'rfc9068-iss-case', 'rfc9068-iss-prefix']],
  ['jti of any type', 'dpop-jti-number', []],
  ['jwk in token', 'jws-jwk', ['jws-jwk-kid']],
  ['keys of all issuers', 'issuers-key-of-another', ['issuers-name-of-another']],
  ['kid object breaks', 'jws-kid-object', []],
  ['leeway of an hour', 'rfc9068-leeway', []],
  ['list unwrapped', 'rfc7662-array', []],
  ['logout tokens accepted', 'rfc9068-typ-logout', []],
  ['long kid breaks', 'jws-kid-long', []],
  ['long signatures cut', 'jws-long-signature', []],
  ['malformed certificate breaks', 'rfc9440-malformed', []],
  ['malformed certificate', 'rfc9440-malformed', []],
  ['malformed proof', 'dpop-malformed', []],
  ['missing active', 'rfc7662-active-missing', []],
  ['missing aud', 'rfc9068-aud-missing', []],
  ['missing certificate', 'rfc8705-missing', ['rfc7662-certificate-other']],
  ['missing exp', 'rfc9068-exp-missing', []],
  ['missing iss', 'rfc9068-iss-missing', []],
  ['missing typ', 'rfc9068-typ-missing', []],
  ['nbf of answer', 'rfc7662-nbf-future', []],
  ['nbf of any type', 'rfc7519-nbf-text', []],
  ['nbf', 'rfc7519-nbf-future', []],
  ['no application/ type', 'rfc9068-typ-application', []],
  ['no error code', 'rfc9068-error-code', []],
  ['no leeway for proofs', 'dpop-good-iat-ahead', []],
  ['old proofs', 'dpop-iat-old', ['dpop-iat-window']],
  ['one scope only', 'scope-enough', []],
  ['private key in proof', 'dpop-private-key', []],
  ['proof alg none', 'dpop-alg-none', []],
  ['proof by RS256', 'fapi2-dpop-rs256', []],
  ['proof ath', 'dpop-ath', ['dpop-no-ath']],
  ['proof beside Bearer', 'dpop-as-bearer-with-proof', []],
  ['proof exp', 'dpop-expired', []],
  ['proof htm', 'dpop-htm', ['dpop-no-htm', 'dpop-htm-case']],
  ['proof htu', 'dpop-htu', ['dpop-htu-port', 'dpop-htu-scheme', 'dpop-no-htu', 'dpop-htu-path', 'dpop-htu-host']],
  ['proof iat of any type', 'dpop-no-iat', ['dpop-iat-text']],
  ['proof jti', 'dpop-no-jti', ['dpop-jti-number']],
  ['proof key', 'dpop-other-key', ['rfc7662-dpop-other-key']],
  ['proof signature', 'dpop-signature', ['dpop-no-signature', 'dpop-key-swap', 'dpop-challenge']],
  ['proof typ', 'dpop-typ', ['dpop-no-typ']],
  ['proof without ath', 'dpop-no-ath', []],
  ['proof without iat', 'dpop-no-iat', []],
  ['proof without signature', 'dpop-no-signature', ['dpop-alg-none']],
  ['proofs challenged as Bearer', 'dpop-challenge', []],
  ['proofs of ten minutes', 'dpop-iat-window', []],
  ['proofs of the future', 'dpop-iat-future', []],
  ['replay', 'dpop-replay', []],
  ['scope as text breaks', 'scope-missing', ['rfc7662-scope-missing', 'scope-number', 'scope-challenge']],
  ['scope by prefix', 'scope-longer', []],
  ['scope by text', 'scope-inside', ['scope-longer']],
  ['scope in any case', 'scope-case', []],
  ['scope shorter', 'scope-shorter', []],
  [
    'scope',
    'scope-other',
    [
      'rfc7662-scope-missing',
      'scope-missing',
      'scope-longer',
      'scope-shorter',
      'scope-case',
      'scope-inside',
      'scope-number',
      'scope-challenge'
    ]
  ],
  ['shape', 'jws-four-parts', ['jws-five-parts']],
  ['short RSA keys', 'rsa-1024', []],
  [
    'signature',
    'jws-unpublished-key',
    [
      'jws-cached-signature',
      'jws-tampered',
      'jws-no-signature',
      'jws-cut-signature',
      'jws-zero-signature',
      'jws-long-signature',
      'rsa-pkcs1-garbage',
      'rsa-pkcs1-no-null',
      'ps256-salt',
      'eddsa-malleable',
      'ecdsa-zero',
      'ecdsa-r-zero',
      'ecdsa-s-zero',
      'ecdsa-order',
      'ecdsa-der',
      'ecdsa-long'
    ]
  ],
  ['signed answers: alg none', 'rfc9701-none', []],
  ['signed answers: aud', 'rfc9701-aud', ['rfc9701-aud-missing']],
  ['signed answers: exp', 'rfc9701-expired', []],
  ['signed answers: iss', 'rfc9701-iss', []],
  ['signed answers: members beside', 'rfc9701-members', []],
  ['signed answers: no aud', 'rfc9701-aud-missing', []],
  ['signed answers: plain ones taken', 'rfc9701-plain', []],
  ['signed answers: signature', 'rfc9701-signature', ['rfc9701-tampered']],
  ['signed answers: typ', 'rfc9701-typ', []],
  [
    'step-up as scope',
    'rfc9470-missing',
    ['rfc9470-challenge', 'rfc9470-acr-other', 'rfc9470-acr-longer', 'rfc9470-max-age']
  ],
  ['step-up without claims', 'rfc9470-missing', ['rfc9470-challenge']],
  ['sub of any type', 'jwt-sub-number', []],
  ['thumbprint by prefix', 'rfc8705-thumbprint-prefix', []],
  ['thumbprint of any type', 'rfc8705-thumbprint-number', []],
  ['token type of answer', 'rfc7662-token-type', []],
  ['two proofs', 'dpop-two-proofs', []],
  ['typ', 'rfc9068-typ-jwt', ['rfc9068-typ-missing', 'rfc9068-typ-logout', 'rfc9701-as-token']],
  ['unknown cnf', 'rfc8705-unknown-confirmation', []],
  [
    'unknown kid accepted',
    'jws-kid-url',
    [
      'jws-x5c-key',
      'issuers-key-of-another',
      'issuers-name-of-another',
      'alg-hmac-empty',
      'rsa-1024',
      'jwk-use-enc',
      'jws-jwk',
      'jws-jwk-kid',
      'jws-jku',
      'jws-x5u',
      'jws-x5c',
      'jws-kid-path',
      'jws-kid-sql',
      'jws-kid-prototype',
      'jws-kid-object',
      'jws-kid-long',
      'jws-kid-unknown'
    ]
  ],
  ['EdDSA S reduced', 'eddsa-malleable', []],
  ['PS256 salt of any length', 'ps256-salt', []],
  ['RSA padding open at the end', 'rsa-pkcs1-garbage', []],
  ['hash anywhere in RSA padding', 'rsa-pkcs1-no-null', ['rsa-pkcs1-garbage']],
  ['unused bits', 'jws-unused-bits', []],
  ['answer not JSON accepted', 'rfc7662-not-json', []],
  ['any key for unknown kid', 'jws-kid-unknown', []],
  ['DPoP field in one case', 'dpop-good-field-case', []],
  ['htu in one case', 'dpop-good-htu-case', []],
  ['htu host by prefix', 'dpop-htu-host', ['dpop-good-htu-case']],
  ['jku requested', 'jws-jku', ['canary']],
  ['kid requested', 'jws-kid-url', []],
  ['missing client_id', 'rfc9068-claim-client-id', []],
  ['missing iat', 'rfc9068-claim-iat', []],
  ['missing jti', 'rfc9068-claim-jti', []],
  ['missing sub', 'rfc9068-claim-sub', []],
  ['proof by a secret', 'dpop-hmac', []],
  ['unbound token as DPoP', 'dpop-unbound', []],
  ['use ignored', 'jwk-use-enc', []],
  ['x5u requested', 'jws-x5u', []],
  ['token in the query', 'rfc6750-good-query-token', []],
  ['token in a cookie', 'rfc6750-good-cookie-token', []],
  ['token in another field', 'rfc6750-good-other-fields', []],
  ['token in the body of GET', 'rfc6750-good-body-of-get', []],
  ['token in a form body', 'rfc6750-good-body-token', []],
  ['first token of two', 'rfc6750-good-first-of-two', []],
  ['first of a list', 'rfc6750-good-comma-list', []],
  [
    'scheme not at the beginning',
    'rfc6750-good-other-scheme',
    ['rfc6750-good-comma-list', 'rfc6750-good-first-of-two', 'jws-padding', 'jws-trailing-character']
  ],
  ['first Authorization line of two', 'rfc6750-good-two-lines', []],
  ['last Authorization line of two', 'rfc6750-good-two-lines', []],
  ['any scheme', 'rfc6750-good-other-scheme', ['rfc6750-good-first-of-two']],
  ['no scheme', 'rfc6750-good-no-scheme', []],
  ['Bearer in one case', 'rfc6750-good-scheme-case', []],
  ['public answers', 'hardening-good-not-public', []],
  ['token repeated', 'hardening-good-no-echo', []],
  ['x5c in token', 'jws-x5c-key', []],
  ['metadata of iss requested', 'canary', []],
  ['aud of the origin', 'rfc9068-aud-origin', []],
  ['aud flattened', 'rfc9068-aud-pattern', []],
  ['cache by claims', 'jws-cached-signature', []],
  ['cache by jti', 'jws-cached-signature', []],
  ['htu of any scheme', 'dpop-htu-scheme', []],
  ['htu of any port', 'dpop-htu-port', ['dpop-htu-scheme']],
  ['jkt of opaque tokens ignored', 'rfc7662-dpop-other-key', []],
  ['cnf of opaque tokens ignored', 'rfc7662-certificate-other', ['rfc7662-dpop-as-bearer']],
  ['answers kept by URL', 'rfc6750-good-then-none', []],
  ['user of the connection', 'rfc6750-good-then-none', []],
  ['step-up not described', 'rfc9470-challenge', []],
  ['scopes of opaque tokens ignored', 'rfc7662-scope-missing', []]
]

test.each(WEAK)('catches an API with the weakness: %s', { timeout: 180_000 }, async (weakness, id, others) => {
  const failed = await failuresOf(weakness, quick)
  keep(weakness, id, failed)
  expect(failed).toEqual([id, ...others].toSorted())
})

/** Weaknesses that only time, a revocation or an outage shows. Only the check that is meant for it runs. */
const SLOW: readonly (readonly [weakness: string, id: string])[] = [
  ['ECDSA s reduced', 'ecdsa-above-order'],
  ['ROCA keys', 'rsa-roca'],
  ['RSA exponent of 1', 'rsa-exponent'],
  ['alg not in list', 'alg-sha1'],
  ['curve of another algorithm', 'alg-curve'],
  ['key_ops ignored', 'jwk-key-ops'],
  ['one bad key breaks all', 'jwk-set-unusable'],
  ['401 on outage', 'faults-introspection-500'],
  ['503 without Retry-After', 'faults-retry-after'],
  ['answers kept for ever', 'revocation-introspection'],
  ['bombs inflated', 'faults-introspection-bomb'],
  ['bombs inflated', 'faults-keys-bomb'],
  ['each request asks', 'faults-stampede'],
  ['endless answers read', 'faults-introspection-endless'],
  ['endless answers read', 'faults-keys-endless'],
  ['events ignored', 'revocation-event'],
  ['events not verified', 'revocation-event-forged'],
  ['events for others', 'revocation-event-audience'],
  ['logout tokens not verified', 'revocation-logout-forged'],
  ['junk introspected', 'faults-flood-junk'],
  ['keys fetched for each kid', 'faults-flood-kid'],
  ['keys never fetched again', 'keys-rotation'],
  ['logout tokens for others', 'revocation-logout-audience'],
  ['logout tokens ignored', 'revocation-logout'],
  ['logout tokens with nonce', 'revocation-logout-nonce'],
  ['metadata of another issuer', 'rfc8414-issuer'],
  ['redirects followed', 'faults-introspection-redirect'],
  ['removed keys kept', 'keys-removed'],
  ['streams cut', 'stream-good'],
  ['streams of expired tokens', 'stream-expired'],
  ['streams of revoked tokens', 'stream-revoked'],
  ['cache without an end', 'rfc9068-exp-cached'],
  ['status list not verified', 'revocation-status-list-forged'],
  ['status list not read', 'revocation-status-list'],
  ['waits for ever', 'faults-introspection-silence']
]

test.each(SLOW)('catches an API with the weakness: %s', { timeout: 180_000 }, async (weakness, id) => {
  const failed = await failuresOf(
    weakness,
    issuerChecks.filter((check) => check.id === id)
  )
  keep(weakness, id, failed)
  expect(failed).toContain(id)
})
