/**
 * New inputs from old ones: members of JSON set, removed, doubled and renamed before it is signed, and bytes changed
 * before or after. Made by fast-check, so that a seed gives the same inputs again and a finding is made small.
 */
import fc from 'fast-check'
import { CLIENT, ISSUER, NOW, RESOURCE, STATUS_URI, TRANSMITTER } from './world.js'

export interface Input {
  /** Seed of the corpus, and what was done to it before and after signing. */
  readonly template: string
  readonly after: (bytes: string) => string
}

type Edit = (text: string) => string

/** Names and values that mean something to somebody. */
const NAMES =
  'alg typ kid crit b64 jwk iss aud sub exp nbf iat jti scope scp client_id cnf jkt x5t#S256 token_type token_use ath htm htu nonce active keys kty crv x y n e d k use key_ops issuer jwks_uri mtls_endpoint_aliases token_introspection status_list bits lst ttl idx uri events event_timestamp toe sub_id format subject user session identifiers sid auth_time authorization_details act __proto__ constructor toString then length'.split(
    ' '
  )
const NUMBERS = [NOW, NOW - 30, NOW - 29, NOW + 30, NOW + 31, NOW + 60, NOW + 61, NOW + 0.5, 0, -1, 1e300, 2 ** 53]
const TEXTS =
  'EdDSA Ed25519 ES256 none HS256 JWT at+jwt DPoP id ed ec rsa sig verify read aliases iss_sub jwt_id opaque'
const OBJECTS: readonly unknown[] = [null, true, false, [], {}, [[]], [null], [RESOURCE], [RESOURCE, 7], { jkt: 'x' }]
const VALUES: readonly unknown[] = [
  ISSUER,
  `${ISSUER}/`,
  RESOURCE,
  TRANSMITTER,
  CLIENT,
  STATUS_URI,
  ...'u1 x1 t1 complex https: http://127.0.0.1/jwks \ud800 \u00e9'.split(' '),
  '',
  ' ',
  'read\twrite'
].concat(NUMBERS as never, TEXTS.split(' '), OBJECTS as never)

const WORDS: readonly string[] = [
  ...'Bearer |DPoP |bearer|,|;|=|:|"|\\|.|..| |%|%2e|/|&|\t|\n|\r\n'.split('|'),
  ...'{|}|[|]|{}|null|1e999|-0|\\u0000|\\ud800|"__proto__":{}|[[[[[[[['.split('|'),
  ...'200 |503 |application/json|Cert=|By=|-----BEGIN CERTIFICATE-----|logout_token=|<<.>>|<<z 00*3000000>>'.split('|')
]

const position = fc.nat(1_000_000)
const at = (text: string, place: number): number => place % (text.length + 1)

/** Whatever a byte-level fuzzer does. */
function byteEdit(others: readonly string[], isAscii: boolean): fc.Arbitrary<Edit> {
  const byte = fc.nat(isAscii ? 127 : 255).map((code) => String.fromCharCode(code))
  const text = fc.oneof(
    fc.constantFrom(...WORDS),
    byte,
    fc.array(byte, { maxLength: 8 }).map((all) => all.join(''))
  )
  return fc.oneof(
    { weight: 4, arbitrary: fc.tuple(position, fc.nat(4), text).map(replace) },
    { weight: 2, arbitrary: fc.tuple(position, fc.nat(isAscii ? 6 : 7)).map(flip) },
    { weight: 1, arbitrary: fc.tuple(position, fc.nat(200)).map(([place, length]) => replace([place, length, ''])) },
    { weight: 1, arbitrary: fc.tuple(position, fc.nat(60), fc.nat(40)).map(repeat) },
    { weight: 1, arbitrary: fc.tuple(fc.nat(3), fc.integer({ min: 1, max: 15 })).map(respell) },
    { weight: 1, arbitrary: fc.tuple(position, position, fc.constantFrom(...others)).map(splice) }
  )
}

function replace([place, length, text]: readonly [number, number, string]): Edit {
  return (old) => old.slice(0, at(old, place)) + text + old.slice(at(old, place) + length)
}

function flip([place, bit]: readonly [number, number]): Edit {
  return (old) => {
    const i = at(old, place)
    return i === old.length ? old : replace([i, 1, String.fromCharCode(old.charCodeAt(i) ^ (1 << bit))])(old)
  }
}

function repeat([place, length, times]: readonly [number, number, number]): Edit {
  return (old) => replace([place, 0, old.slice(at(old, place), at(old, place) + length).repeat(times)])(old)
}

const BASE64URL = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_'

/** The last character of a segment with other low bits, which a decoder may not look at. */
function respell([place, bits]: readonly [number, number]): Edit {
  return (old) => {
    const ends = [...old.matchAll(/[\w-]{20,}/g)].map((one) => one.index + one[0].length - 1)
    const end = ends[place % ends.length]
    const value = BASE64URL.indexOf(old[end ?? 0] as string)
    return end === undefined ? old : replace([end, 1, BASE64URL[value ^ bits] as string])(old)
  }
}

function splice([place, from, other]: readonly [number, number, string]): Edit {
  return (old) => old.slice(0, at(old, place)) + other.slice(at(other, from))
}

const value = fc.oneof(
  { weight: 3, arbitrary: fc.constantFrom(...VALUES) },
  { weight: 1, arbitrary: fc.jsonValue({ maxDepth: 2 }) }
)

/** One member of one of the JSON values in a template. */
const memberEdit: fc.Arbitrary<Edit> = fc
  .record({
    place: position,
    piece: fc.nat(7),
    how: fc.constantFrom('set', 'set', 'set', 'remove', 'rename', 'double', 'doubleFirst', 'wrap', 'add', 'add'),
    name: fc.constantFrom(...NAMES),
    value
  })
  .map(({ place, piece, how, name, value: other }) => (template) => {
    const pieces = template.split(/(<<\.>>|<<\/?jws[^>]*>>|\n)/)
    const candidates = pieces.flatMap((one, i) => (/^[[{]/.test(one) && isJson(one) ? [i] : []))
    const chosen = candidates[piece % candidates.length]
    if (chosen === undefined) return template
    pieces[chosen] = editMember(pieces[chosen] as string, place, how, name, other)
    return pieces.join('')
  })

function isJson(text: string): boolean {
  try {
    JSON.parse(text)
    return true
  } catch {
    return false
  }
}

/** JSON of ASCII, since a template's characters are bytes. */
const jsonOf = (one: unknown): string =>
  JSON.stringify(one ?? null).replace(/[^\x20-\x7e]/g, (odd) => `\\u${odd.charCodeAt(0).toString(16).padStart(4, '0')}`)

function editMember(json: string, place: number, how: string, name: string, other: unknown): string {
  const root: unknown = JSON.parse(json)
  const holders = holdersOf(root)
  const [holder, key] = holders[place % holders.length] ?? []
  if (how === 'double') return json.replace(/}$/, `,"${name}":${jsonOf(other)}}`)
  if (how === 'doubleFirst') return json.replace(/^{/, `{"${name}":${jsonOf(other)},`)
  if (holder === undefined || key === undefined) return json
  const old = holder[key]
  if (how === 'set') holder[key] = other
  if (how === 'wrap') holder[key] = [old]
  if (how === 'add') put(holder, name, other)
  if (how === 'remove' || how === 'rename') delete holder[key]
  if (how === 'rename') put(holder, name, old)
  return jsonOf(root)
}

type Holder = Record<string, unknown>

function put(holder: Holder, name: string, value: unknown): void {
  // As JSON.parse does, and not as an assignment to `__proto__` or the length of a list.
  if (Array.isArray(holder)) holder.push(value)
  else Object.defineProperty(holder, name, { value, enumerable: true, configurable: true, writable: true })
}

/** Every place of a JSON value that holds another. */
function holdersOf(one: unknown): (readonly [Holder, string])[] {
  if (typeof one !== 'object' || one === null) return []
  const holder = one as Holder
  return Object.keys(holder).flatMap((key) => [[holder, key] as const, ...holdersOf(holder[key])])
}

const inTurn =
  (edits: readonly Edit[]): Edit =>
  (text) =>
    edits.reduce((old, edit) => edit(old), text)

/** @param seeds written out */
export function inputs(seeds: readonly string[], isDocument: boolean): fc.Arbitrary<Input> {
  const ascii = byteEdit(seeds, true)
  const bytes = isDocument
    ? fc.oneof({ weight: 30, arbitrary: ascii }, { weight: 1, arbitrary: byteEdit(seeds, false) })
    : byteEdit(seeds, false)
  const few = (edit: fc.Arbitrary<Edit>, maxLength: number): fc.Arbitrary<Edit> =>
    fc.array(edit, { minLength: 1, maxLength }).map(inTurn)
  const none = fc.constant<Edit>((same) => same)
  const change = fc.oneof(
    { weight: 8, arbitrary: fc.tuple(few(memberEdit, 2), none) },
    { weight: 3, arbitrary: fc.tuple(few(bytes, 2), none) },
    { weight: 2, arbitrary: fc.tuple(none, few(bytes, 2)) },
    { weight: 1, arbitrary: fc.tuple(few(memberEdit, 2), few(bytes, 2)) }
  )
  return fc
    .tuple(fc.constantFrom(...seeds), change)
    .map(([seed, [before, after]]) => ({ template: before(seed).slice(0, 50_000), after }))
}
