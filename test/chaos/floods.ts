/**
 * Floods: attackers who send as much junk as they like, and victims who send good requests meanwhile. What was known
 * before must be served, every request of it; what is seen for the first time may have to come again.
 */
import { generateKeyPairSync, randomBytes } from 'node:crypto'
import { Agent } from 'node:http'
import { memoryOnceStore } from '../../src/index.js'
import type { DpopKey } from '../support/dpop.js'
import { encryptJwe } from '../support/jwe.js'
import type { App, AppOptions } from './apps.js'
import { type Fault, failsFor, latency } from './proxy.js'
import type { Purse } from './purse.js'
import type { FloodLine } from './table.mjs'
import { type Fields, get, withUnknownKey } from './traffic.js'

/** Who takes part in a flood of one app. */
export interface Cast {
  /** Another request of an attacker, each time. */
  readonly junk: () => Fields
  /** Good requests that the app has granted before. */
  readonly known: () => readonly Fields[]
  /** Good requests that it has not seen, for each round. */
  readonly firstSeen: () => readonly Fields[]
}

export interface Flood {
  readonly flood: string
  /** What the authorization server does meanwhile. */
  readonly fault?: Fault
  /** How many attackers each app has. Default: more than all places and the queue together. */
  readonly attackers?: number
  /** Where the requests go. Default: `/items`. */
  readonly path?: string
  /** Options that the row needs. */
  readonly options?: Pick<AppOptions, 'decryptionKeys' | 'dpop'>
  /** Milliseconds that a function takes which looks the issuer up. Default: the issuer is in a list. */
  readonly lookup?: number
  /** Seconds that pass before each round, so that what is known has to be asked about again. */
  readonly pass: number
  readonly cast: (app: App, purse: Purse, now: () => number) => Cast
}

const ROUNDS = 3
/** Attackers that each send requests one after the other, and how many in a round. */
const ATTACKERS = 300
const EACH = 2
const KNOWN = 8

const decryption = generateKeyPairSync('rsa', { modulusLength: 2048 })
const recipient = { publicKey: decryption.publicKey, kid: 'enc-1' }
/** Places of the store of used proofs: less than all attacks together need. */
const PROOFS = 300

/** The same tokens each time. */
function once<T>(make: () => T): () => T {
  let made: T | undefined
  return () => (made ??= make())
}

/** An encrypted token that nobody can read, another one each time: the last characters are its tag. */
const SAMPLE = encryptJwe('x', recipient)
const junkJwe = (): string => SAMPLE.slice(0, -22) + randomBytes(16).toString('base64url')

const withProof = ({ key, token }: { readonly key: DpopKey; readonly token: string }, at: number): Fields => ({
  authorization: `DPoP ${token}`,
  dpop: key.proof({ token, at })
})

const bearer = (token: string): Fields => ({ authorization: `Bearer ${token}` })

/** For another flood, add its row here: what the attackers send, and what its victims do. */
export const FLOODS: readonly Flood[] = [
  {
    flood: 'made-up opaque tokens (introspection)',
    fault: latency(50),
    pass: 31,
    cast: (app, purse) => ({
      junk: () => bearer(randomBytes(24).toString('base64url')),
      known: once(() => Array.from({ length: KNOWN }, () => bearer(purse.newOpaque(app.name)))),
      firstSeen: () => [bearer(purse.newOpaque(app.name))]
    })
  },
  {
    flood: 'made-up `kid`s (keys)',
    fault: latency(50),
    pass: 31,
    cast: (app, purse, now) => ({
      junk: () => bearer(withUnknownKey(purse.jwts[0] as string, { iat: now() })),
      known: () => purse.jwts.map(bearer),
      firstSeen: () => [bearer(purse.newJwt(app.name))]
    })
  },
  {
    flood: 'made-up `iss`s (a function `issuers`)',
    lookup: 50,
    // Past the time for which the function's answer is remembered.
    pass: 301,
    cast: (app, purse) => ({
      junk: () => {
        const iss = `https://${randomBytes(8).toString('hex')}.example.com`
        return bearer(withUnknownKey(purse.jwts[0] as string, { iss }))
      },
      known: () => purse.jwts.map(bearer),
      firstSeen: () => [bearer(purse.newJwt(app.name))]
    })
  },
  {
    flood: 'made-up tokens that make the server fail (breaker)',
    attackers: 100,
    fault: failsFor('fail-', 50),
    pass: 31,
    cast: (app, purse) => ({
      junk: () => bearer(`fail-${randomBytes(24).toString('base64url')}`),
      known: once(() => Array.from({ length: KNOWN }, () => bearer(purse.newOpaque(app.name)))),
      firstSeen: () => [bearer(purse.newOpaque(app.name))]
    })
  },
  {
    flood: 'one client that hammers a route with `fresh()`',
    attackers: 100,
    path: '/fresh',
    fault: latency(50),
    pass: 31,
    cast: (app, purse) => {
      const hammer = purse.newOpaque(app.name)
      return {
        junk: () => bearer(hammer),
        known: once(() => Array.from({ length: KNOWN }, () => bearer(purse.newOpaque(app.name)))),
        firstSeen: () => [bearer(purse.newOpaque(app.name))]
      }
    }
  },
  {
    flood: 'proofs of one client, more than the store has room for (replay)',
    attackers: 100,
    options: { dpop: () => ({ replayStore: memoryOnceStore({ maxEntries: PROOFS }) }) },
    pass: 31,
    cast: (_app, purse, now) => ({
      junk: () => withProof(purse.dpop, now()),
      known: () => [withProof(purse.neighbour, now())],
      firstSeen: () => [withProof(purse.neighbour, now())]
    })
  },
  {
    flood: 'junk encrypted to the API (decryption)',
    options: { decryptionKeys: [{ key: decryption.privateKey, kid: recipient.kid }] },
    pass: 31,
    cast: (app, purse) => {
      const known = purse.jwts.map((jwt) => bearer(encryptJwe(jwt, recipient)))
      return {
        junk: () => bearer(junkJwe()),
        known: () => known,
        firstSeen: () => [bearer(purse.newJwt(app.name))]
      }
    }
  }
]

/** @param now, pass  the clock of the resource servers: its time, and what moves it */
export async function suffer(
  { flood, pass: seconds, cast, path, attackers: count = ATTACKERS }: Flood,
  apps: readonly App[],
  purse: Purse,
  { now, pass }: { readonly now: () => number; readonly pass: (seconds: number) => void }
): Promise<FloodLine> {
  const line = { flood, attacks: 0, victims: 0, wrong401s: 0, wrong429s: 0, wrong503s: 0, firstSeen: 0, served: 0 }
  const many = new Agent({ keepAlive: true })
  const casts = apps.map((app) => ({ app, ...cast(app, purse, now) }))
  for (const { app, known } of casts) for (const fields of known()) await get(app.port, fields, undefined, path)
  for (let i = 0; i < ROUNDS; i++) {
    pass(seconds)
    for (const { app, junk, known, firstSeen } of casts) {
      const attacker = async (): Promise<void> => {
        for (let n = 0; n < EACH; n++) {
          line.attacks++
          await get(app.port, junk(), many, path)
        }
      }
      const attackers = Array.from({ length: count }, attacker)
      const newcomers = firstSeen()
      const [before, first] = [known(), newcomers].map((list) =>
        list.map(async (fields) => get(app.port, fields, undefined, path))
      )
      for (const { status } of await Promise.all(before ?? [])) {
        line.victims++
        if (status === 401) line.wrong401s++
        else if (status === 429) line.wrong429s++
        else if (status !== 200) line.wrong503s++
      }
      const answers = await Promise.all(first ?? [])
      line.firstSeen += answers.length
      line.served += answers.filter(({ status }) => status === 200).length
      await Promise.all(attackers)
    }
  }
  many.destroy()
  return line
}
