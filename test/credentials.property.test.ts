/** Whatever stands in an Authorization field: a refusal with a challenge that parses, never an accident, never a pass. */
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { Refusal, scope } from '../src/index.js'
import { parseChallenge } from './support/challenge-parser.js'
import { accessToken, api, get, refusal } from './support/refusals.js'

const server = api({ realm: 'a "quoted" \\ realm' })
const route = server.protect(scope('read', 'write'))

const good = accessToken()
const text = fc.oneof(
  fc.string({ unit: 'binary', maxLength: 80 }),
  fc.string({ unit: fc.constantFrom(...Array.from('Bearer ,.=ab0-_~+/"\\\t\u00e9{}')) }),
  fc.string({ unit: 'binary' }).map((rest) => `Bearer ${rest}`),
  // A good token with something done to it.
  fc
    .tuple(fc.nat(good.length), fc.string({ minLength: 1, maxLength: 3 }))
    // Spaces before a token are allowed, however many (RFC 9110 §11.4).
    .filter(([at, what]) => at > 0 || /[^ ]/.test(what))
    .map(([at, what]) => `Bearer ${good.slice(0, at)}${what}${good.slice(at)}`),
  fc.nat(good.length - 1).map((at) => `Bearer ${good.slice(0, at)}${good.slice(at + 1)}`)
)

/** Three segments of JSON that has the right names and any values. */
const name = fc.constantFrom(
  'typ',
  'alg',
  'kid',
  'crit',
  'b64',
  'iss',
  'aud',
  'exp',
  'nbf',
  'scope',
  'cnf',
  '__proto__'
)
const segment = fc
  .dictionary(
    name,
    fc.oneof(fc.jsonValue({ maxDepth: 2 }), fc.constantFrom('ES256', 'at+jwt', 'k1', 'https://as.example.com'))
  )
  .map((value) => Buffer.from(JSON.stringify(value)).toString('base64url'))
const jwtLike = fc
  .tuple(segment, segment, fc.base64String())
  .map((parts) => `Bearer ${parts.join('.').replace(/=/g, '')}`)

async function expectRefusal(authorization: string | string[]): Promise<void> {
  const error = await refusal(() => route.authorize(get({ authorization })))
  expect(error).toBeInstanceOf(Refusal)
  expect([400, 401]).toContain(error.status)
  const lines = error.headers['WWW-Authenticate'] as string[]
  expect(lines).toHaveLength(1)
  const { scheme, parameters } = parseChallenge(lines[0] as string)
  expect(scheme).toBe('Bearer')
  const values = new Map(parameters.map((parameter) => [parameter.name, parameter.value]))
  expect(values.get('realm')).toBe('a "quoted" \\ realm')
  expect(values.get('error')).toBe(error.code)
  expect(values.get('error_description')).toBe(error.code === undefined ? undefined : error.description)
  expect(error.toResponse().status).toBe(error.status)
}

describe('HTTP-01 HTTP-05 HTTP-09 HTTP-10 (RFC 9110 §11.6.1): no Authorization field', () => {
  test('any text in the field is refused with a challenge that parses', () =>
    fc.assert(fc.asyncProperty(text, expectRefusal), { numRuns: 400 }))

  test('any text built like a JWT is refused', () =>
    fc.assert(fc.asyncProperty(jwtLike, expectRefusal), { numRuns: 300 }))

  test('any list of such texts is refused', () =>
    fc.assert(fc.asyncProperty(fc.array(text, { minLength: 2, maxLength: 4 }), expectRefusal), { numRuns: 50 }))
})

describe('the parser of these tests', () => {
  const bad = [
    'Bearer',
    'Bearer ',
    'Bearer x',
    'Bearer realm=x',
    'Bearer realm="x',
    'Bearer realm="x" scope="y"',
    'Bearer realm="x",',
    'Bearer realm="x", REALM="y"',
    'Bearer realm="a"b"',
    'Bearer realm="\u00e9"',
    'Bearer realm="a\r\nb"',
    'Bearer error="a\\"b"',
    'Bearer scope="a  b"',
    'Bearer scope=""',
    'Bearer realm="x", Basic realm="y"'
  ]
  test.each(bad)('refuses %j', (line) => {
    expect(() => parseChallenge(line)).toThrow(SyntaxError)
  })

  test('reads a challenge', () => {
    expect(parseChallenge('Bearer realm="a\\"b", scope="c d"')).toEqual({
      scheme: 'Bearer',
      parameters: [
        { name: 'realm', value: 'a"b', quoted: true },
        { name: 'scope', value: 'c d', quoted: true }
      ]
    })
  })
})
