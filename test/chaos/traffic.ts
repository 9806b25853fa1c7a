/**
 * Mixed traffic, and what may be answered to each kind of request: by a table written here, not by the code under test.
 */
import { randomBytes } from 'node:crypto'
import { Agent, request as open } from 'node:http'
import { createDpopKey } from '../support/dpop.js'
import { base64url, createSigningKey, signJws } from '../support/issuer.js'
import type { App } from './apps.js'
import type { Purse } from './purse.js'

/** Requests that one client has under way with one app. */
export const CONCURRENT = 12

/** New tokens of each kind that a round sends to each app. */
export const NEW = 3

/** What kinds of requests there are, and how many of each a round sends to each app. */
const MIX = {
  /** Good. */
  'JWT, seen before': 6,
  'JWT, new': NEW,
  'opaque, seen before': 4,
  'opaque, new': NEW,
  DPoP: 4,
  /** Bad in themselves: no authorization server need be asked. */
  'DPoP proof replayed': 2,
  'DPoP token as Bearer': 2,
  'DPoP proof by another key': 2,
  expired: 3,
  'other audience': 2,
  'alg none': 2,
  malformed: 2,
  'no credentials': 1,
  /** Bad, which the issuer's keys show. */
  'signature altered': 3,
  /** Bad or not: only the authorization server can tell. */
  'kid unknown': 4,
  'opaque, revoked': 2,
  'opaque, unknown': 20
} as const

/** Opaque tokens that a round sends once, and requests with an opaque token. */
export const ONCE = MIX['opaque, new'] + MIX['opaque, unknown']
export const OPAQUES: number = ONCE + MIX['opaque, seen before'] + MIX['opaque, revoked']

export type Kind = keyof typeof MIX | 'key retired'

/** What the resource server can know in a phase; `'perhaps'`: it may know or say that it cannot, and both are right. */
export interface Known {
  /** It holds the issuer's keys. */
  readonly keys: boolean
  /** It can ask whether there are others. */
  readonly newKeys: boolean | 'perhaps'
  readonly introspection: boolean | 'perhaps'
  /** It can tell used proofs. */
  readonly proofs: boolean | 'perhaps'
}

const GOOD: ReadonlySet<Kind> = new Set(['JWT, seen before', 'JWT, new', 'opaque, seen before', 'opaque, new', 'DPoP'])
const NEEDS_KEYS: ReadonlySet<Kind> = new Set([
  'JWT, seen before',
  'JWT, new',
  'DPoP',
  'DPoP proof replayed',
  'DPoP token as Bearer',
  'DPoP proof by another key',
  'signature altered',
  'key retired'
])

const NEEDS_PROOFS: ReadonlySet<Kind> = new Set(['DPoP', 'DPoP proof replayed'])
/** Those that a held key decides. */
const HELD: ReadonlySet<Kind> = new Set(['JWT, seen before', 'JWT, new', 'DPoP'])

/** The only right statuses: one, or with `'perhaps'` another. */
function rightStatuses(kind: Kind, known: Known): readonly number[] {
  const verdict = GOOD.has(kind) ? 200 : 401
  // Between two looks at the keys nobody can tell yet whether there is such a key.
  // Once the looks for unknown keys are used up, a retired key cannot be told from one that is about to be published.
  const verdicts = kind === 'kid unknown' || kind === 'key retired' ? [verdict, 429] : [verdict]
  const needed = [
    NEEDS_KEYS.has(kind) ? known.keys : true,
    NEEDS_PROOFS.has(kind) ? known.proofs : true,
    kind === 'kid unknown' ? known.newKeys : true,
    kind.startsWith('opaque') ? known.introspection : true
  ]
  if (needed.includes(false)) return kind === 'kid unknown' ? [503, 429] : [503]
  return needed.includes('perhaps') ? [...verdicts, 503] : verdicts
}

export interface Tally {
  requests: number
  granted: number
  /** 200 to what is not good. */
  wrongAccepts: number
  /** 401 (or any 4xx) to what is good, or to what cannot be known. */
  wrong401s: number
  fives: number
  /** 5xx that is not 503 with `Retry-After` and without a challenge. */
  wrong5xx: number
  /** Any other answer than the one right status: what happened, and how often. */
  readonly others: Map<string, number>
  readonly milliseconds: number[]
  /** Of those, the requests with a JWT that a held key decides. */
  readonly held: number[]
}

export function createTally(): Tally {
  return {
    requests: 0,
    granted: 0,
    wrongAccepts: 0,
    wrong401s: 0,
    fives: 0,
    wrong5xx: 0,
    others: new Map(),
    milliseconds: [],
    held: []
  }
}

/** A round of requests to one app: every kind, in an order of its own, several at once. */
export interface Round {
  readonly app: Target
  /** Where a proof is sent a second time. Default: to the same app. */
  readonly elsewhere?: Target
  readonly purse: Purse
  /** Seconds since the epoch, of the clients too. */
  readonly now: number
  readonly known: Known
  readonly tally: Tally
  /** Tokens by keys that were retired. */
  readonly retired?: readonly string[]
  /** Called with each answer. */
  readonly answered?: () => void
}

type Target = Pick<App, 'name' | 'port'>

export type Fields = Readonly<Record<string, string>>

const agent = new Agent({ keepAlive: true, maxSockets: 64 })
const stranger = createSigningKey('ES256', { kid: 'strange' })
const otherKey = createDpopKey()

/** The same claims, signed by a key that is published nowhere, under a `kid` of its own. */
export function withUnknownKey(jwt: string, claims: Record<string, unknown> = {}): string {
  const payload = JSON.parse(Buffer.from(jwt.split('.')[1] ?? '', 'base64url').toString())
  const kid = `strange-${randomBytes(8).toString('hex')}`
  return signJws({ typ: 'at+jwt', alg: 'ES256', kid }, { ...payload, ...claims }, stranger)
}

export function closeClients(): void {
  agent.destroy()
}

export async function sendRound(round: Round): Promise<void> {
  const kinds: Kind[] = Object.entries(MIX).flatMap(([kind, count]) => Array<Kind>(count).fill(kind as Kind))
  if (round.retired) kinds.push(...Array<Kind>(4).fill('key retired'))
  shuffle(kinds)
  await Promise.all(
    Array.from({ length: CONCURRENT }, async () => {
      for (let kind = kinds.pop(); kind !== undefined; kind = kinds.pop()) await sendOne(kind, round)
    })
  )
}

/** One request, and for a replayed proof the one before it. */
export async function sendOne(kind: Kind, round: Round): Promise<void> {
  const fields = fieldsOf(kind, round)
  if (kind === 'DPoP proof replayed') await count('DPoP', fields, round)
  await count(kind, fields, kind === 'DPoP proof replayed' ? { ...round, app: round.elsewhere ?? round.app } : round)
}

async function count(kind: Kind, fields: Fields, { app, tally, known, answered }: Round): Promise<void> {
  const started = performance.now()
  const { status, retryAfter, challenge } = await get(app.port, fields)
  const took = performance.now() - started
  tally.milliseconds.push(took)
  if (HELD.has(kind)) tally.held.push(took)
  tally.requests++
  const right = rightStatuses(kind, known)
  if (status === 200) tally.granted++
  if (status === 200 && !GOOD.has(kind)) tally.wrongAccepts++
  if (status >= 400 && status < 500 && !right.includes(status)) tally.wrong401s++
  if (status >= 500) {
    tally.fives++
    if (status !== 503 || !/^[1-9]\d*$/.test(retryAfter ?? '') || challenge !== undefined) tally.wrong5xx++
  }
  if (!right.includes(status)) {
    const what = `${app.name}: ${kind}: ${status}, not ${right.join(' or ')}`
    tally.others.set(what, (tally.others.get(what) ?? 0) + 1)
  }
  answered?.()
}

function fieldsOf(kind: Kind, { app, purse, now, retired = [] }: Round): Fields {
  const bearer = (token: string): Fields => ({ authorization: `Bearer ${token}` })
  const { key, token: bound } = purse.dpop
  const dpop = (proof: string): Fields => ({ authorization: `DPoP ${bound}`, dpop: proof })
  const [header = '', payload = '', signature = ''] = any(purse.jwts).split('.')
  switch (kind) {
    case 'JWT, seen before':
      return bearer(any(purse.jwts))
    case 'JWT, new':
      return bearer(purse.newJwt(app.name))
    case 'opaque, seen before':
      return bearer(any(purse.opaques))
    case 'opaque, new':
      return bearer(purse.newOpaque(app.name))
    case 'DPoP':
    case 'DPoP proof replayed':
      return dpop(key.proof({ token: bound, at: now }))
    case 'DPoP token as Bearer':
      return bearer(bound)
    case 'DPoP proof by another key':
      return dpop(otherKey.proof({ token: bound, at: now }))
    case 'expired':
      return bearer(purse.expired)
    case 'other audience':
      return bearer(purse.otherAudience)
    case 'alg none':
      return bearer(`${base64url({ typ: 'at+jwt', alg: 'none' })}.${payload}.`)
    case 'malformed':
      return bearer(`${header}.AAAA.${signature}`)
    case 'no credentials':
      return {}
    case 'signature altered':
      // Of bytes in the middle, where every bit counts.
      return bearer(
        `${header}.${payload}.${signature.slice(0, 20)}${randomBytes(6).toString('base64url')}${signature.slice(28)}`
      )
    case 'kid unknown':
      // Issued now: of a token from before the last look the key would be known.
      return bearer(withUnknownKey(any(purse.jwts), { iat: now }))
    case 'opaque, revoked':
      return bearer(any(purse.revoked))
    case 'opaque, unknown':
      return bearer(randomBytes(24).toString('base64url'))
    case 'key retired':
      return bearer(any(retired))
  }
}

function any<T>(list: readonly T[]): T {
  return list[Math.floor(Math.random() * list.length)] as T
}

function shuffle(list: unknown[]): void {
  for (let i = list.length - 1; i > 0; i--) {
    const j = Math.floor(Math.random() * (i + 1))
    ;[list[i], list[j]] = [list[j], list[i]]
  }
}

interface Got {
  readonly status: number
  readonly retryAfter: string | undefined
  readonly challenge: string | undefined
}

/** @param from  default: as one client, with so many connections */
export function get(port: number, headers: Fields, from: Agent = agent, path = '/items'): Promise<Got> {
  return new Promise((resolve, reject) => {
    const outgoing = open({ host: '127.0.0.1', port, path, headers, agent: from }, (response) => {
      const { statusCode: status = 0, headers: fields } = response
      response.resume()
      response.once('end', () =>
        resolve({ status, retryAfter: fields['retry-after'], challenge: fields['www-authenticate'] })
      )
      response.once('error', reject)
    })
    outgoing.once('error', (error: NodeJS.ErrnoException) => {
      // The API closed a connection for being idle while this was on its way: nobody has seen it.
      if (outgoing.reusedSocket && error.code === 'ECONNRESET') resolve(get(port, headers, from, path))
      else reject(error)
    })
    outgoing.end()
  })
}
