/** `access.signal`: when it fires, what it costs where nobody reads it, and that nothing of it is left behind. */
import { setTimeout as pause } from 'node:timers/promises'
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import { afterEach, beforeAll, describe, expect, test, vi } from 'vitest'
import type { VerifiedAccessToken } from '../../src/access-token/verified-access-token.js'
import {
  type Access,
  InvalidToken,
  type ResourceServer,
  type ResourceServerOptions,
  type Revocation
} from '../../src/index.js'
import { createLifetimes } from '../../src/revocation/lifetime.js'
import { createRevocations } from '../../src/revocation/revocations.js'
import { createBed, RESOURCE_METADATA, request } from '../support/exchange.js'
import { createClock, type TestIssuer } from '../support/issuer.js'

const bed = createBed()
const NOW = 1_750_000_000
const DAY = 24 * 3600

beforeAll(() => import('undici'))
afterEach(() => void vi.useRealTimers())

interface Running {
  readonly issuer: TestIssuer
  readonly api: ResourceServer
  readonly advance: (seconds: number) => void
  readonly grant: (claims?: object) => Promise<Access>
}

/** Real sockets first: the keys are loaded before time is faked. */
async function start(options: Partial<ResourceServerOptions> = {}): Promise<Running> {
  const clock = createClock(NOW)
  const issuer = await bed.issuer({ now: clock.now })
  const api = bed.api({ issuers: [issuer.issuer], now: clock.now, ...options })
  await api.ready()
  vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] })
  const advance = (seconds: number): void => {
    for (let left = seconds; left > 0; left -= 3600) {
      clock.advance(Math.min(left, 3600))
      vi.advanceTimersByTime(Math.min(left, 3600) * 1000)
    }
  }
  const grant = async (claims: object = {}): Promise<Access> =>
    (await api.authorize(request(issuer.token({ claims: { exp: NOW + 600, ...claims } })))) as Access
  return { issuer, api, advance, grant }
}

describe('access.signal at the end of the token', () => {
  test.each([0, 30, 300])('fires at exp plus clockTolerance (%i s), not before', async (clockTolerance) => {
    const { advance, grant } = await start({ clockTolerance })
    const { signal, acceptedUntil } = await grant()
    const left = (acceptedUntil as number) - NOW
    advance(left - 1)
    expect(signal.aborted).toBe(false)
    advance(1)
    expect(signal.aborted).toBe(true)
    expect(signal.reason).toMatchObject({ name: 'InvalidToken', reason: 'expired', status: 401 })
    expect(String((signal.reason as InvalidToken).headers['WWW-Authenticate'])).toContain(RESOURCE_METADATA)
  })

  test('fires after 40 days, longer than a timer can wait, and not before', async () => {
    const { advance, grant } = await start()
    const { signal } = await grant({ exp: NOW + 40 * DAY })
    advance(39 * DAY)
    expect(signal.aborted).toBe(false)
    advance(DAY + 60)
    expect(signal.aborted).toBe(true)
  })

  test('fires within a minute when the clock is set forward', async () => {
    const clock = createClock(NOW)
    const issuer = await bed.issuer({ now: clock.now })
    const api = bed.api({ issuers: [issuer.issuer], now: clock.now })
    await api.ready()
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] })
    const { signal } = (await api.authorize(request(issuer.token({ claims: { exp: NOW + DAY } })))) as Access
    clock.advance(2 * DAY)
    vi.advanceTimersByTime(60_000)
    expect(signal.aborted).toBe(true)
  })

  test('has already fired when it is first read after the end', async () => {
    const { advance, grant } = await start()
    const access = await grant()
    advance(700)
    expect(access.signal.aborted).toBe(true)
  })

  test('fires if the clock returns NaN, as requests are refused then', async () => {
    let time = NOW
    const issuer = await bed.issuer({ now: () => NOW })
    const api = bed.api({ issuers: [issuer.issuer], now: () => time })
    const access = (await api.authorize(request(issuer.token()))) as Access
    time = Number.NaN
    expect(access.signal.aborted).toBe(true)
  })

  test('creates a timer only when it is read, which does not keep the process alive, and close() clears it', async () => {
    const { api, advance, grant } = await start()
    const unread = vi.getTimerCount()
    const access = await grant()
    expect(vi.getTimerCount()).toBe(unread)
    const { signal } = access
    expect(vi.getTimerCount()).toBe(unread + 1)
    await api.close()
    expect(vi.getTimerCount()).toBe(unread)
    advance(1000)
    expect(signal.aborted).toBe(false)
    await api.revoke({ issuer: access.issuer, jti: access.claims['jti'] as string })
    expect(signal.aborted).toBe(true)
  })
})

describe('access.signal when something is revoked', () => {
  const abouts: readonly [string, (access: Access) => Revocation, other: object][] = [
    ['a token', ({ issuer, claims }) => ({ issuer, jti: claims['jti'] as string }), {}],
    ['a subject', ({ issuer, subject = '' }) => ({ issuer, subject, before: NOW + 1 }), { sub: 'other' }],
    ['a session', ({ issuer }) => ({ issuer, sessionId: 's1', before: NOW + 1 }), { sid: 's2' }],
    ['a client', ({ issuer, clientId = '' }) => ({ issuer, clientId, before: NOW + 1 }), { client_id: 'other' }],
    ['all of an issuer', ({ issuer }) => ({ issuer, before: NOW + 1 }), { iat: NOW + 2 }]
  ]

  test.each(abouts)('fires at once for %s, and not for other tokens', async (_, revocation, other) => {
    const { api, grant } = await start()
    const access = await grant({ sid: 's1' })
    const { signal: left } = await grant({ sid: 's1', ...other })
    const { signal } = access
    const told = vi.fn()
    signal.addEventListener('abort', told, { once: true })
    await api.revoke(revocation(access))
    expect([signal.aborted, left.aborted, told.mock.calls.length]).toEqual([true, false, 1])
    expect(signal.reason).toMatchObject({ name: 'InvalidToken', reason: 'revoked', status: 401 })
    expect(access.signal).toBe(signal)
  })

  test('fires for a revocation under another name of the issuer', async () => {
    const issuer = await bed.issuer({ now: () => NOW })
    const other = 'https://other.example'
    const api = bed.api({
      issuers: [{ issuer: issuer.issuer, acceptedIssuers: [issuer.issuer, other] }],
      now: () => NOW
    })
    const { signal } = (await api.authorize(request(issuer.token({ claims: { sub: 'u1' } })))) as Access
    await api.revoke({ issuer: other, subject: 'u1', before: NOW + 1 })
    expect(signal.aborted).toBe(true)
  })

  test('has already fired when it is first read after a revocation', async () => {
    const { api, grant } = await start()
    const access = await grant()
    await api.revoke({ issuer: access.issuer, jti: access.claims['jti'] as string })
    expect(access.signal.reason).toMatchObject({ reason: 'revoked' })
  })
})

describe('access.signal', () => {
  test('is one signal for all requests with a token, and is not enumerable in the access', async () => {
    const { issuer, api } = await start()
    const token = issuer.token()
    const [first, second] = await Promise.all([api.authorize(request(token)), api.authorize(request(token))])
    expect(first?.signal).toBe(second?.signal)
    expect([Object.keys(first as Access), JSON.stringify(first)].join()).not.toContain('signal')
  })

  test('accepts many listeners without a warning, since many connections share it', async () => {
    const { grant } = await start()
    const warned = vi.fn()
    process.on('warning', warned)
    const { signal } = await grant()
    for (let i = 0; i < 50; i++) signal.addEventListener('abort', () => undefined, { once: true })
    await pause(1)
    process.off('warning', warned)
    expect(warned).not.toHaveBeenCalled()
  })

  test('is collected with its entry when unreferenced; with a listener it stays, and fires', async () => {
    setFlagsFromString('--expose-gc')
    const gc = runInNewContext('gc') as () => void
    const revocations = createRevocations({ now: () => NOW, keepFor: DAY, maxEntries: 100 })
    const refusal = (reason: 'expired' | 'revoked'): InvalidToken => new InvalidToken(reason)
    const { signalOf, stats, close } = createLifetimes({ now: () => NOW, revocations, refusal })
    const fired = vi.fn()
    const read = (jti: string): AbortSignal =>
      signalOf({
        issuer: 'https://as.example.com',
        claims: { jti },
        expiresAt: NOW + 600,
        verifier: { clockTolerance: 0 },
        issuedBy: { settings: { acceptedIssuers: new Set() } }
      } as unknown as VerifiedAccessToken)
    read('heard').addEventListener('abort', fired, { once: true })
    for (let i = 0; i < 100; i++) read(`unheard ${i}`)
    expect(stats().entries).toBe(101)
    await expect
      .poll(() => {
        gc()
        return stats().entries
      })
      .toBe(1)
    revocations.revoke([{ issuer: 'https://as.example.com', jti: 'heard' }])
    expect([fired.mock.calls.length, stats().entries]).toEqual([1, 0])
    close()
  })
})
