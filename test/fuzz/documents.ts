/**
 * Targets that are fetched, from an issuer on a real socket: key sets, metadata, introspection answers, status lists. An
 * input is the status and the media type in its first line, and the body after it.
 */
import { inflateSync } from 'node:zlib'
import { Agent } from 'undici'
import { expect } from 'vitest'
import { type IssuerOptions, type ResourceServer, resourceServer, scope } from '../../src/index.js'
import { type Endpoint, startIssuer } from '../support/issuer.js'
import { audienceOf, type Expected, isAccessKind, isGrant, isNumber, isObject, objectOf, verified } from './oracle.js'
import { requestWith, requireExpected, type Target, verdictOf } from './target.js'
import { expand } from './template.js'
import { CLIENT, DEFAULTS, ISSUER, JWKS, NOW, RESOURCE, STATUS_INDEX, STATUS_URI, TOLERANCE } from './world.js'

type Json = Record<string, unknown>

export interface Document {
  readonly status: number
  readonly type: string
  readonly body: Buffer
}

const MAX_BODY = 256 * 1024
const ROUTE = scope('read')

function documentOf(input: string): Document {
  const [line = '', ...rest] = input.split('\n')
  const [, status, type = ''] = /^(\d{3}) ?([\x20-\x7e]{0,200})$/.exec(line) ?? []
  const body = Buffer.from(rest.join('\n'), 'latin1')
  // What Node would not send, or undici wait for, is another test's.
  const isSent = Number(status) >= 200 && Number(status) < 600 && ![204, 205, 304].includes(Number(status))
  return { status: isSent ? Number(status) : 200, type: type.trim(), body }
}

/** The media type as it will be compared. */
const mediaType = ({ type }: Document): string => (type.split(';')[0] as string).trim().toLowerCase()

/** No document at all: an outage, whatever else is in it. */
const isOutage = ({ status, body }: Document): boolean =>
  status === 408 || status === 429 || status >= 500 || body.length > MAX_BODY || !isUtf8(body)

const isUtf8 = (bytes: Buffer): boolean => Buffer.from(bytes.toString()).equals(bytes)

/** A byte order mark before a fetched document says nothing (RFC 8259 §8.1). */
const withoutMark = (bytes: Buffer): Buffer =>
  bytes.subarray(0, 3).equals(Buffer.of(0xef, 0xbb, 0xbf)) ? bytes.subarray(3) : bytes

interface Setting {
  readonly endpoint: Endpoint
  /** True where a server remembers nothing of a document: the next one may be asked with the same. */
  readonly isForgetful?: boolean
  readonly issuer: Partial<IssuerOptions>
  /** What becomes of a request when this is served. `goOn` advances the clock by two seconds. */
  readonly ask: (server: ResourceServer, document: Document, goOn: () => void) => Promise<string>
}

/** Each input is asked for by a server that knows nothing of another one, over connections that stay. */
async function fetched({ endpoint, isForgetful = false, issuer, ask }: Setting): Promise<Target> {
  const upstream = await startIssuer({ now: () => NOW })
  upstream.always('jwks', ({ response }) =>
    response.writeHead(200, { 'content-type': 'application/json' }).end(JSON.stringify(JWKS))
  )
  const agent = new Agent()
  const dispatch = agent.dispatch.bind(agent)
  // Wherever a document sends us, it is this machine; what is not the issuer's has nothing.
  agent.dispatch = (options, handler) =>
    dispatch(
      {
        ...options,
        origin: upstream.origin,
        ...(options.origin !== ISSUER && { path: '/nowhere' })
      },
      handler
    )
  const create = (): ResourceServer =>
    resourceServer({
      resource: RESOURCE,
      issuers: [{ issuer: ISSUER, ...issuer }],
      now: () => time,
      http: { dispatcher: agent }
    })
  let server: ResourceServer | undefined
  let time = NOW
  return {
    run: async (input) => {
      const document = documentOf(input)
      const { status, type, body } = document
      upstream.always(endpoint, ({ response }) => {
        response.writeHead(status, type === '' ? {} : { 'content-type': type }).end(body)
      })
      upstream.reset()
      if (server === undefined) time = NOW
      server ??= create()
      let isSpent = true
      try {
        const verdict = await ask(server, document, () => {
          time += 2
        })
        // However a document is made, it does not make us ask for ever.
        expect(upstream.requests.length).toBeLessThan(16)
        expect(JSON.stringify(server.health()).length).toBeLessThan(65_536)
        // After an outage a server may be careful for a while.
        isSpent = !isForgetful || verdict.includes('unavailable')
        return verdict
      } finally {
        if (isSpent) {
          await server.close()
          server = undefined
        }
      }
    },
    close: async () => {
      await server?.close()
      await agent.close()
      await upstream.close()
    }
  }
}

function sending(token: string) {
  return requestWith({ authorization: [`Bearer ${token}`] })
}

// ---- key sets

/** Asked with a token that names its key, and with one that does not. */
export function jwks(): Promise<Target> {
  const named = expand('<<token>>')
  const unnamed = expand('<<token@ec {} | {"-kid":0}>>')
  return fetched({
    endpoint: 'jwks',
    issuer: { jwksUri: `${ISSUER}/jwks` },
    ask: async (server, document, goOn) => {
      const first = await verdictOf(() => server.authorize(sending(named), ROUTE), [401, 503])
      // The next look is due then.
      goOn()
      const second = await verdictOf(() => server.authorize(sending(unnamed), ROUTE), [401, 503])
      const keys = keysOf(document)
      requireExpected(first, expectedOfNamed(keys))
      requireExpected(second, expectedOfUnnamed(keys))
      return first === second ? first : `${first}, without kid ${second}`
    }
  })
}

function keysOf(document: Document): readonly unknown[] {
  if (document.status !== 200 || isOutage(document)) return []
  const keys = objectOf(withoutMark(document.body))?.['keys']
  return Array.isArray(keys) && keys.length <= 100 ? keys : []
}

/** Whether this is the key that {@link DEFAULTS} has under the name, public, and for verifying with `alg`. */
function isKey(jwk: unknown, name: 'ed' | 'ec', alg: string): jwk is Json {
  const right = DEFAULTS[name]?.payload as Json
  if (!isObject(jwk) || jwk['kty'] !== right['kty'] || jwk['crv'] !== right['crv']) return false
  const secret = ['d', 'p', 'q', 'dp', 'dq', 'qi', 'oth', 'k'].some(
    (member) => (jwk[member] ?? null) !== null && !(member === 'oth' && isEmpty(jwk[member]))
  )
  const operations = saidBy(jwk, 'key_ops')
  const [use, stated] = [saidBy(jwk, 'use'), saidBy(jwk, 'alg')]
  const kid = jwk['kid'] ?? undefined
  return (
    !secret &&
    ['x', 'y'].every((member) => bytesOf(jwk[member]).equals(bytesOf(right[member]))) &&
    (stated === undefined || stated === alg) &&
    (use === undefined || use === 'sig') &&
    (operations === undefined || (Array.isArray(operations) && operations.includes('verify'))) &&
    (kid === undefined || (typeof kid === 'string' && kid.length <= 256))
  )
}

const isEmpty = (value: unknown): boolean => Array.isArray(value) && value.length === 0

/** undefined for null, an empty text or an empty list, as several servers write what they do not say. */
const saidBy = (jwk: Json, member: string): unknown =>
  jwk[member] === null || jwk[member] === '' || isEmpty(jwk[member]) ? undefined : jwk[member]

/** As a decoder reads it that skips what is no base64. */
const bytesOf = (text: unknown): Buffer => Buffer.from(typeof text === 'string' ? text : '', 'base64')

const isVerbatim = (jwk: Json, name: 'ed' | 'ec'): boolean =>
  ['x', 'y'].every((member) => jwk[member] === DEFAULTS[name]?.payload[member])

function expectedOfNamed(keys: readonly unknown[]): Expected {
  const ours = keys.filter((one) => isKey(one, 'ed', 'EdDSA')).filter(({ kid }) => kid === 'ed')
  if (ours.length === 0) return 'refused'
  // Of many keys under one name four are tried.
  const sameName = keys.filter((one) => isObject(one) && one['kid'] === 'ed')
  return sameName.length <= 4 && ours.some((one) => isVerbatim(one, 'ed')) ? 'accepted' : 'either'
}

function expectedOfUnnamed(keys: readonly unknown[]): Expected {
  const ours = keys.filter((one) => isKey(one, 'ec', 'ES256'))
  if (ours.length === 0) return 'refused'
  // At most four keys may fit the algorithm.
  const sameType = keys.filter((one) => isObject(one) && one['kty'] === 'EC')
  return sameType.length <= 4 && ours.some((one) => isVerbatim(one, 'ec')) ? 'accepted' : 'either'
}

// ---- metadata

export function metadata(): Promise<Target> {
  const token = expand('<<token>>')
  return fetched({
    endpoint: 'metadata',
    issuer: { metadataUrl: `${ISSUER}/.well-known/oauth-authorization-server` },
    ask: async (server, document) => {
      const verdict = await verdictOf(() => server.authorize(sending(token), ROUTE), [500, 503])
      requireExpected(verdict, expectedOfMetadata(document))
      // A 503 says that something did not answer: the document, or where it says the keys are.
      if (verdict === 'metadata_unavailable') expect(isOutage(document)).toBe(true)
      return verdict
    }
  })
}

function expectedOfMetadata(document: Document): Expected {
  const { jwks_uri: uri, issuer } = objectOf(withoutMark(document.body)) ?? {}
  const isJson = /^application\/([\w.-]+\+)?json$/.test(mediaType(document))
  if (document.status !== 200 || isOutage(document) || !isJson || issuer !== ISSUER) return 'refused'
  if (typeof uri !== 'string' || !URL.canParse(uri)) return 'refused'
  const { origin, pathname } = new URL(uri)
  return origin === ISSUER && pathname === '/jwks' ? 'accepted' : 'refused'
}

// ---- introspection

function introspected(signedResponse: boolean): Promise<Target> {
  let serial = 0
  return fetched({
    // An answer to another token makes a 400 one about this token, so each input has a server of its own.
    endpoint: 'introspection',
    issuer: {
      jwks: JWKS as never,
      tokens: 'opaque',
      introspection: { endpoint: `${ISSUER}/introspect`, auth: () => {}, clientId: CLIENT, signedResponse }
    },
    ask: async (server, document) => {
      const verdict = await verdictOf(
        () => server.authorize(sending(`opaque-${serial++}`), ROUTE),
        [401, 403, 500, 503]
      )
      const answer = await (signedResponse ? signedAnswerOf(document) : plainAnswerOf(document))
      const isAnswer = typeof answer?.['active'] === 'boolean'
      const isGood = answer?.['active'] === true && isAccessKind(answer) && isGrant(answer, { required: ['aud'] })
      requireExpected(verdict, isGood ? 'accepted' : 'refused')
      // A 500 is for a server that does not speak the protocol, and a refusal for a token of which it spoke.
      const outcome = verdict.endsWith('_unavailable') ? 'outage' : verdict === 'misconfigured' ? verdict : 'answer'
      expect(outcome).toBe(isOutage(document) ? 'outage' : isAnswer ? 'answer' : 'misconfigured')
      return verdict
    }
  })
}

export const introspection = (): Promise<Target> => introspected(false)
export const signedIntrospection = (): Promise<Target> => introspected(true)

async function plainAnswerOf(document: Document): Promise<Json | undefined> {
  const isJson = document.status === 200 && !isOutage(document) && mediaType(document).endsWith('json')
  return isJson ? objectOf(withoutMark(document.body)) : undefined
}

async function signedAnswerOf(document: Document): Promise<Json | undefined> {
  const type = 'application/token-introspection+jwt'
  if (document.status !== 200 || isOutage(document) || mediaType(document) !== type) return undefined
  const jws = await verified(document.body.toString(), { types: [type], mayHaveEmptyDates: true })
  if (jws === undefined) return undefined
  const { iss, aud, iat, token_introspection: members } = jws.claims
  const isOurs = audienceOf(aud).some((one) => one === CLIENT || one === RESOURCE)
  return iss === ISSUER && isOurs && isNumber(iat) && iat <= NOW + 60 && isObject(members) ? members : undefined
}

// ---- status lists

export function statusList(): Promise<Target> {
  const token = expand(`<<token {"status":{"status_list":{"idx":${STATUS_INDEX},"uri":"${STATUS_URI}"}}}>>`)
  return fetched({
    endpoint: 'status',
    issuer: { jwks: JWKS as never, statusList: true },
    ask: async (server, document) => {
      const verdict = await verdictOf(() => server.authorize(sending(token), ROUTE), [401, 500, 503])
      requireExpected(verdict, await expectedOfList(document))
      expect(server.stats().cache.statusLists.bytes).toBeLessThan(3_000_000)
      return verdict
    }
  })
}

async function expectedOfList(document: Document): Promise<Expected> {
  const type = 'application/statuslist+jwt'
  if (document.status < 200 || document.status > 299 || isOutage(document)) return 'refused'
  if (mediaType(document) !== type) return 'refused'
  const jws = await verified(document.body.toString(), { types: [type] })
  if (jws === undefined) return 'refused'
  const { iss, sub, iat, exp, ttl, status_list: list } = jws.claims
  if (iss !== undefined && iss !== ISSUER) return 'refused'
  if (sub !== STATUS_URI || !isNumber(iat) || iat > NOW + 60) return 'refused'
  if (exp !== undefined && (exp as number) <= NOW - TOLERANCE) return 'refused'
  if (ttl !== undefined && !(isNumber(ttl) && ttl > 0)) return 'refused'
  const { bits, lst } = Object(list) as Json
  if (![1, 2, 4, 8].includes(bits as number) || typeof lst !== 'string') return 'refused'
  return statusIn(lst, bits as number) === 0 ? 'accepted' : 'refused'
}

/** The status with our index, counted in bits of the whole list. */
function statusIn(lst: string, bits: number): number | undefined {
  const compressed = Buffer.from(lst, 'base64url')
  if (compressed.toString('base64url') !== lst) return undefined
  try {
    const list = inflateSync(compressed, { maxOutputLength: 2 * 1024 * 1024 })
    // The least significant bit of a byte comes first.
    const bitAt = (i: number): number => ((list[i >> 3] ?? Number.NaN) >> (i & 7)) & 1
    if ((STATUS_INDEX + 1) * bits > 8 * list.length) return undefined
    return Array.from({ length: bits }, (_, i) => bitAt(STATUS_INDEX * bits + i) << i).reduce((sum, one) => sum + one)
  } catch {
    return undefined
  }
}
