/**
 * Floods: attackers who send as much junk as they like, and victims who send good requests meanwhile. What was known
 * before must be served, every request of it; what is seen for the first time may have to come again.
 */
import { randomBytes } from 'node:crypto'
import { Agent } from 'node:http'
import { createDpopKey, type DpopKey } from '../support/dpop.js'
import { encryptJwe } from '../support/jwe.js'
import { type App, DECRYPTION_KEY } from './apps.js'
import { type Fault, latency } from './proxy.js'
import type { Purse } from './purse.js'
import type { FloodLine } from './table.mjs'
import { type Fields, get, withUnknownKey } from './traffic.js'

/** Who takes part in a flood of one app. */
export interface Cast {
  /** Another request of an attacker, each time. */
  readonly junk: () => Fields
  /** Good requests by tokens that the app has granted before, for each round: a proof of DPoP is good only once. */
  readonly known: () => readonly Fields[]
  /** Good requests that it has not seen, for each round. */
  readonly firstSeen: () => readonly Fields[]
}

export interface Flood {
  readonly flood: string
  /** What the authorization server does meanwhile. */
  readonly fault?: Fault
  /** Milliseconds that a function takes which looks the issuer up. Default: the issuer is in a list. */
  readonly lookup?: number
  /** Seconds that pass before each round, so that what is known has to be asked about again. */
  readonly pass: number
  readonly cast: (app: App, purse: Purse, now: () => number) => Cast | Promise<Cast>
}

const ROUNDS = 3
/** Attackers that each send requests one after the other, and how many in a round. */
const ATTACKERS = 300
const EACH = 2
const KNOWN = 8
const DPOP_KEYS = 24

const bearer = (token: string): Fields => ({ authorization: `Bearer ${token}` })

/** For another flood, add its row here: what the attackers send, and what its victims do. */
export const FLOODS: readonly Flood[] = [
  {
    flood: 'made-up opaque tokens (introspection)',
    fault: latency(50),
    pass: 31,
    cast: (app, purse) => {
      const known = Array.from({ length: KNOWN }, () => bearer(purse.newOpaque(app.name)))
      return {
        junk: () => bearer(randomBytes(24).toString('base64url')),
        known: () => known,
        firstSeen: () => [bearer(purse.newOpaque(app.name))]
      }
    }
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
    flood: 'JWEs of junk (decryption)',
    pass: 31,
    cast: (app, purse) => {
      const known = [...purse.jwts, ...purse.jwts.map((token) => encryptJwe(token, DECRYPTION_KEY))].map(bearer)
      return {
        junk: () => bearer(encryptJwe(randomBytes(600), DECRYPTION_KEY)),
        known: () => known,
        firstSeen: () => [bearer(encryptJwe(purse.newJwt(app.name), DECRYPTION_KEY))]
      }
    }
  },
  {
    flood: 'good proofs by many DPoP keys of one client (replay store)',
    pass: 31,
    cast: async (app, purse, now) => {
      const dpop = (key: DpopKey, token: string): Fields => ({
        authorization: `DPoP ${token}`,
        dpop: key.proof({ token, at: now() })
      })
      const keys = Array.from({ length: DPOP_KEYS }, () => createDpopKey())
      const bound = await Promise.all(keys.map(async (key) => ({ key, token: await purse.bindTo(key) })))
      let turn = 0
      return {
        junk: () => {
          const { key, token } = bound[turn++ % bound.length] as (typeof bound)[number]
          return dpop(key, token)
        },
        known: () => [...purse.jwts.map(bearer), dpop(purse.dpop.key, purse.dpop.token)],
        firstSeen: () => [bearer(purse.newJwt(app.name))]
      }
    }
  }
]

/** @param now, pass  the clock of the resource servers: its time, and what moves it */
export async function suffer(
  { flood, pass: seconds, cast }: Flood,
  apps: readonly App[],
  purse: Purse,
  { now, pass }: { readonly now: () => number; readonly pass: (seconds: number) => void }
): Promise<FloodLine> {
  const line = { flood, attacks: 0, victims: 0, wrong401s: 0, wrong429s: 0, wrong503s: 0, firstSeen: 0, served: 0 }
  const many = new Agent({ keepAlive: true })
  const casts = await Promise.all(apps.map(async (app) => ({ app, ...(await cast(app, purse, now)) })))
  for (const { app, known } of casts) for (const fields of known()) await get(app.port, fields)
  for (let i = 0; i < ROUNDS; i++) {
    pass(seconds)
    for (const { app, junk, known, firstSeen } of casts) {
      const attacker = async (): Promise<void> => {
        for (let n = 0; n < EACH; n++) {
          line.attacks++
          await get(app.port, junk(), many)
        }
      }
      const attackers = Array.from({ length: ATTACKERS }, attacker)
      const newcomers = firstSeen()
      const [before, first] = [known(), newcomers].map((list) => list.map(async (fields) => get(app.port, fields)))
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
