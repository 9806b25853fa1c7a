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
  /** The option that the configuration of `doctor` lacks to admit the token. Default: the token is admitted. */
  readonly missing?: RegExp
  /** The command that names the missing option. Default: `explain`, which the configuration of `doctor` names. */
  readonly namedBy?: 'doctor' | 'explain'
  /** An option that `doctor` must name besides. */
  readonly finding?: RegExp
  /** Default: the descriptions of a wrong audience and of an expired token. */
  readonly wrongAudience?: string
  readonly expired?: string
  readonly revokes?: boolean
  readonly rotates?: boolean
  /** What the API knows of the caller. */
  readonly caller: object
}

export function describeCounterpart(expected: Expected): void {
  const {
    section,
    start,
    skip,
    missing,
    namedBy = 'explain',
    finding,
    revokes = false,
    rotates = false,
    caller
  } = expected
  const { wrongAudience = 'The access token audience is not accepted', expired = 'The access token expired' } = expected
  describe.skipIf(skip !== undefined)(skip === undefined ? section : `${section} (${skip})`, () => {
    let server: Counterpart
    let api: Api
    beforeAll(async () => {
      server = await start()
      api = await startApi(documented(section, server), { clientSecret: server.clientSecret })
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
      // The configuration names the command that names the option.
      expect(configuration).toContain(`explain --issuer ${server.issuer} --resource https://api.example.com`)
      if (missing && namedBy === 'explain') expect((await explain(server.issuer, token)).out).toMatch(missing)
      if (missing && namedBy === 'doctor') expect(configuration).toMatch(missing)
    })

    test(`admits a token of ${section} for this API, and refuses its ID tokens and its tokens for another API`, async () => {
      const { status, body } = await api.ask(await server.token())
      expect(body).toMatchObject(caller)
      expect(status).toBe(200)
      expect(await api.ask(await server.otherToken())).toEqual(refused(wrongAudience))
      if (server.idToken)
        expect(await api.ask(await server.idToken())).toEqual(refused('The token is not an access token'))
    })

    test(`refuses an expired token of ${section}`, async () => {
      const late = await startApi(documented(section, server), {
        clientSecret: server.clientSecret,
        ahead: LONGEST_LIFE
      })
      expect(await late.ask(await server.token())).toEqual(refused(expired))
      await late.close()
    })

    if (revokes)
      test(`refuses a revoked token of ${section} on a route with fresh()`, async () => {
        const token = await server.token()
        expect(await api.ask(token, '/fresh')).toMatchObject({ status: 200 })
        await server.revoke?.(token)
        expect(await api.ask(token, '/fresh')).toEqual(refused('The access token is not active'))
      })

    if (rotates)
      test(`admits old and new tokens while ${section} rotates its keys`, async () => {
        expect(await rotateUnderTraffic(server, api)).toEqual({ old: [200], renewed: [200] })
      })
  })
}
