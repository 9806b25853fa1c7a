/** The tests that every authorization server of test/counterparts and test/counterparts-nightly passes. */
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import {
  type Api,
  type Counterpart,
  doctor,
  documented,
  explain,
  refused,
  rotateUnderTraffic,
  startApi
} from './counterparts.js'

/** Seconds. No server here lets an access token live longer. */
const LONGEST_LIFE = 60 * 86_400

export interface Expected {
  /** The heading in docs/profiles.md. */
  readonly section: string
  readonly start: () => Promise<Counterpart>
  /** Why the server cannot run here. */
  readonly skip?: string | undefined
  /** The option that the configuration of `doctor` lacks to admit the token. Default: it admits the token. */
  readonly missing?: RegExp
  /** What `doctor` must find besides. */
  readonly finding?: RegExp
  /** Whether its tokens name the API, or the clients that may call it. Default: true. */
  readonly separates?: boolean
  readonly idTokens?: boolean
  readonly revokes?: boolean
  readonly rotates?: boolean
  /** What the API knows of the caller. */
  readonly caller: object
}

export function describeCounterpart(expected: Expected): void {
  const { section, start, skip, missing, finding, caller } = expected
  const { separates = true, idTokens = false, revokes = false, rotates = false } = expected
  describe.skipIf(skip !== undefined)(skip === undefined ? section : `${section} (${skip})`, () => {
    let server: Counterpart
    let api: Api
    beforeAll(async () => {
      server = await start()
      api = await startApi(documented(section, server), server)
    }, 180_000)
    afterAll(async () => {
      await api?.close()
      await server?.close()
    })

    test(`${missing ? 'refuses' : 'admits'} a token of ${section} with the configuration that doctor prints`, async () => {
      const { configuration, out } = await doctor(server.issuer)
      if (finding) expect(out).toMatch(finding)
      const token = await server.token()
      const printed = await startApi(configuration)
      const { status } = await printed.ask(token)
      await printed.close()
      expect(status).toBe(missing ? 401 : 200)
      // The command that doctor names last finds the option.
      expect(out).toContain(`explain --issuer ${server.issuer} --resource https://api.example.com`)
      if (missing) expect((await explain(server.issuer, token)).out).toMatch(missing)
    })

    test(`admits a token of ${section} with the configuration of docs/profiles.md`, async () => {
      expect(await api.ask(await server.token())).toMatchObject({ status: 200, body: caller })
    })

    if (separates)
      test(`refuses a token of ${section} that is not for this API`, async () => {
        const token = await must(server.otherToken)()
        expect(await api.ask(token)).toEqual(refused('The access token audience is not accepted'))
      })

    if (idTokens)
      test(`refuses an ID token of ${section}`, async () => {
        expect(await api.ask(await must(server.idToken)())).toEqual(refused('The token is not an access token'))
      })

    test(`refuses an expired token of ${section}`, async () => {
      const { clientSecret } = server
      const late = await startApi(documented(section, server), { clientSecret, ahead: LONGEST_LIFE })
      expect(await late.ask(await server.token())).toEqual(refused('The access token expired'))
      await late.close()
    })

    if (revokes)
      test(`refuses a revoked token of ${section} on a route with fresh()`, async () => {
        const token = await server.token()
        expect(await api.ask(token, '/fresh')).toMatchObject({ status: 200 })
        await must(server.revoke)(token)
        expect(await api.ask(token, '/fresh')).toEqual(refused('The access token is not active'))
      })

    if (rotates)
      test(`admits old and new tokens while ${section} rotates its keys`, async () => {
        expect(await rotateUnderTraffic(must(server.rotate), server.token, api)).toEqual({ old: [200], renewed: [200] })
      })
  })
}

function must<T>(value: T | undefined): T {
  if (value === undefined) throw new Error('the server lacks what its test needs')
  return value
}
