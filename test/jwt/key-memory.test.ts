/** How much memory the key sets of all issuers take, and which of them make room. */

import { execFileSync } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { fileURLToPath } from 'node:url'
import { describe, expect, test } from 'vitest'
import { createKeyMemory, type HeldKeys } from '../../src/jwt/key-memory.js'
import { ask, createBed, denial, granted, strangeKey } from '../support/exchange.js'

const bed = createBed()
const MIB = 1024 * 1024

function holding(...sizes: readonly number[]) {
  const dropped: number[] = []
  const sets = sizes.map((bytes, i): HeldKeys & { bytes: number; used: number } => ({
    bytes,
    used: i,
    drop() {
      dropped.push(i)
      this.bytes = 0
    }
  }))
  return { sets, dropped, memory: createKeyMemory(() => sets) }
}

describe('a key memory', () => {
  test('evicts the least recently used large sets until 56 MiB are left, and no set of 64 KiB', () => {
    const { dropped, memory } = holding(60_000, 20 * MIB, 60_000, 20 * MIB, 20 * MIB, 10 * MIB)
    memory.grew(70 * MIB)
    expect(dropped).toEqual([1])
    expect(memory.stats().bytes).toBe(50 * MIB + 120_000)
  })

  test('counts again before it evicts a set', () => {
    const { dropped, memory } = holding(30 * MIB)
    for (let i = 0; i < 10; i++) memory.grew(30 * MIB)
    expect(dropped).toEqual([])
  })

  test('evicts small sets too with more than 1,000 issuers, the least recently used first', () => {
    const { dropped, memory } = holding(...Array.from({ length: 1100 }, () => 65_000))
    memory.grew(1100 * 65_000)
    expect(dropped).toEqual(Array.from({ length: 68 }, (_, i) => i))
    expect(memory.stats().bytes).toBeLessThanOrEqual(memory.stats().maxBytes)
  })
})

/** A server of one key set of 100 RSA keys of 8,192 bits with long names, for any number of issuers. */
async function startHostile(...more: readonly object[]) {
  const keys = Array.from({ length: 100 - more.length }, (_, i) => {
    const n = randomBytes(1024)
    n[0] = 0xff
    n[1023] = 0xff
    return { kty: 'RSA', e: 'AQAB', n: n.toString('base64url'), kid: `${'k'.repeat(240)}${i}`, alg: 'RS256' }
  })
  const body = JSON.stringify({ keys: [...keys, ...more] })
  const fetches = new Map<string, number>()
  const server = createServer((request, response) => {
    fetches.set(String(request.url), (fetches.get(String(request.url)) ?? 0) + 1)
    response.setHeader('content-type', 'application/json').end(body)
  }).listen(0, '127.0.0.1')
  await new Promise((resolve) => server.once('listening', resolve))
  bed.closing({ close: async () => new Promise((resolve) => server.close(resolve)) })
  const origin = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
  return {
    issuerOf: (i: number) => `${origin}/${i}`,
    jwksUriOf: (issuer: string) => `${issuer}/jwks`,
    fetches: (i: number) => fetches.get(`/${i}/jwks`) ?? 0,
    kids: keys.map(({ kid }) => kid)
  }
}

describe('a resolver that trusts many issuers', () => {
  test('KEY-11: hostile key sets stay within 64 MiB together, a victim keeps its keys, and an evicted set is fetched again', async () => {
    const victim = await bed.issuer()
    const large = strangeKey('large')
    const hostile = await startHostile(large.publicJwk)
    const api = bed.api({
      issuers: (iss) => (iss === victim.issuer ? iss : { issuer: String(iss), jwksUri: hostile.jwksUriOf(String(iss)) })
    })
    const tokenOf = (i: number): string => victim.token({ key: large, claims: { iss: hostile.issuerOf(i) } })
    const junkOf = (i: number): string =>
      victim.token({
        key: strangeKey(hostile.kids[i % 90] as string),
        header: { alg: 'RS256' },
        claims: { iss: hostile.issuerOf(i) }
      })
    expect(await ask(api, victim.token())).toEqual(granted)
    expect(await ask(api, tokenOf(0))).toEqual(granted)
    let most = 0
    for (let i = 0; i < 300; i++) {
      expect(await ask(api, junkOf(i))).toEqual(denial.signature)
      most = Math.max(most, api.stats().keySets.bytes)
    }
    expect(most).toBeGreaterThan(55 * MIB)
    expect(most).toBeLessThanOrEqual(64 * MIB)
    expect(await ask(api, victim.token())).toEqual(granted)
    expect(victim.count('jwks')).toBe(1)
    // The first one made room. Not fetched for each token, it is fetched again.
    const before = hostile.fetches(0)
    expect((await ask(api, tokenOf(0))).status).toBe(503)
    expect(hostile.fetches(0)).toBe(before)
    bed.clock.advance(30)
    expect(await ask(api, tokenOf(0))).toEqual(granted)
    expect(hostile.fetches(0)).toBe(before + 1)
  }, 60_000)
})

test('KEY-11: estimates the memory of hostile issuers’ key sets and metadata to within a third, after renewals too', () => {
  const script = fileURLToPath(new URL('../budget/keys.mjs', import.meta.url))
  const output = execFileSync(process.execPath, ['--expose-gc', script], {
    encoding: 'utf8',
    env: { ...process.env, NODE_OPTIONS: '' }
  })
  const { held, counted, issuers } = JSON.parse(output) as { held: number; counted: number; issuers: number }
  expect(issuers).toBe(41)
  expect(held / counted).toBeGreaterThan(2 / 3)
  expect(held / counted).toBeLessThan(4 / 3)
}, 180_000)
