/** The rules about rich authorization: RFC 9396 §2, §9, §12, whole answers of `api.authorize`. */
import { describe, expect, test, vi } from 'vitest'
import {
  type AuthorizationDetail,
  authentication,
  authorizationDetails,
  type Check,
  fresh,
  scope
} from '../../src/index.js'
import { createBed, introspecting } from '../support/exchange.js'
import {
  accessToken,
  api,
  bearer,
  get,
  granted,
  missing,
  type Outcome,
  outcome,
  RESOURCE,
  RESOURCE_METADATA,
  refused
} from '../support/refusals.js'

const bed = createBed()
const server = api()
const METADATA = `resource_metadata="${RESOURCE_METADATA}"`
const LACKING = 'The access token lacks a required authorization detail'

/** RAR-04: 403 without `scope`. */
const lacking: Outcome = {
  status: 403,
  code: 'insufficient_scope',
  reason: 'insufficient_authorization_details',
  headers: {
    'WWW-Authenticate': [`Bearer error="insufficient_scope", error_description="${LACKING}", ${METADATA}`],
    'Cache-Control': 'no-store'
  },
  body: { error: 'insufficient_scope', error_description: LACKING }
}

const ask = (details: unknown, ...checks: readonly Check<string>[]): Promise<Outcome> =>
  outcome(server, bearer(accessToken({ claims: { authorization_details: details } })), ...checks)

const payment = authorizationDetails(({ actions }) => Array.isArray(actions) && actions.includes('initiate'), {
  types: ['payment_initiation']
})
const good = { type: 'payment_initiation', actions: ['initiate'] }

describe('RAR-01 (RFC 9396 §2): the shape', () => {
  test('RAR-01 (RFC 9396 §2, §9.1): accepts one detail of the type that the function allows', async () => {
    expect(await ask([good], payment)).toEqual(granted)
    expect(await ask([{ type: 'other' }, { ...good, actions: [] }, good], payment)).toEqual(granted)
  })

  test('RAR-01 DEN-11 (RFC 9396 §2): refuses a token whose details are not an array of objects with a type', async () => {
    const unfit: unknown[] = [
      {},
      good,
      null,
      '',
      'payment_initiation',
      JSON.stringify([good]),
      1,
      true,
      ['payment_initiation'],
      [null],
      [[]],
      [[good]],
      [{}],
      [{ type: '' }],
      [{ type: 1 }],
      [{ type: ['payment_initiation'] }],
      [{ Type: 'payment_initiation' }],
      // One that is in order does not make up for one that is not.
      [good, {}],
      [good, 'x'],
      [{ ...good, locations: RESOURCE }],
      [{ ...good, locations: null }],
      [{ ...good, locations: [1] }],
      [{ ...good, locations: { 0: RESOURCE } }]
    ]
    for (const details of unfit) {
      expect(await ask(details, scope('read'), payment), JSON.stringify(details)).toEqual(refused('DEN-11', 'claim'))
    }
  })

  test('RAR-01: ignores malformed details on a route that does not ask for them', async () => {
    expect(await ask({}, scope('read'))).toEqual(granted)
  })

  test('RAR-01 RAR-04: grants nothing without a detail of its types, and does not call the function', async () => {
    const allows = vi.fn(() => true)
    const check = authorizationDetails(allows, { types: ['payment_initiation', 'account_information'] })
    for (const details of [
      undefined,
      [],
      [{ type: 'other' }],
      [{ type: 'Payment_initiation' }],
      [{ type: 'payment_initiation ' }]
    ]) {
      expect(await ask(details, check), JSON.stringify(details)).toEqual(lacking)
    }
    expect(allows).not.toHaveBeenCalled()
    expect(await ask([{ type: 'account_information' }], check)).toEqual(granted)
  })

  test('RAR-01 (RFC 9396 §9.2): reads the details of an introspected token too', async () => {
    const issuer = await bed.issuer()
    const of = bed.api({ issuers: [introspecting(issuer)] })
    const ofDetails = (details: unknown): Promise<Outcome> =>
      outcome(of, bearer(issuer.opaque({ authorization_details: details })), scope('read'), payment)
    expect(await ofDetails([good])).toEqual(granted)
    expect(await ofDetails([{ ...good, actions: ['cancel'] }])).toEqual(lacking)
    expect(await ofDetails({})).toEqual(refused('DEN-11', 'claim'))
  })

  test('RAR-01 INT-11 (RFC 9396 §9.2): reads the current details of a JWT that must be fresh', async () => {
    const issuer = await bed.issuer()
    const of = bed.api({ issuers: [introspecting(issuer)] })
    const token = issuer.token({ claims: { authorization_details: [good] } })
    const ofNow = async (members: Record<string, unknown>): Promise<Outcome> => {
      issuer.opaque(members, token)
      return outcome(of, bearer(token), scope('read'), fresh(), payment)
    }
    expect(await ofNow({ authorization_details: [good] })).toEqual(granted)
    expect(await ofNow({ authorization_details: [] })).toEqual(lacking)
    expect(await ofNow({ authorization_details: [{ ...good, actions: ['cancel'] }] })).toEqual(lacking)
    expect(await ofNow({ authorization_details: {} })).toEqual(refused('DEN-11', 'claim'))
    // An answer that does not speak of them leaves the token's own.
    expect(await ofNow({})).toEqual(granted)
  })

  test('RAR-01: answers many details, all refused, with one refusal', async () => {
    const issuer = await bed.issuer()
    const of = bed.api({ issuers: [introspecting(issuer)] })
    const many = Array.from({ length: 15_000 }, () => ({ type: 'a' }))
    const check = (allows: () => boolean | Promise<boolean>): Check => authorizationDetails(allows, { types: ['a'] })
    const token = bearer(issuer.opaque({ authorization_details: many }))
    expect(
      await outcome(
        of,
        token,
        check(() => false)
      )
    ).toEqual(lacking)
    expect(
      await outcome(
        of,
        token,
        check(async () => false)
      )
    ).toEqual(lacking)
  })
})

describe('RAR-02 (RFC 9396 §2.2): locations', () => {
  test('RAR-02 (RFC 9396 §2.2): does not count a detail for other places only', async () => {
    const rows: readonly (readonly [unknown, Outcome])[] = [
      [[RESOURCE], granted],
      [['https://other.example', RESOURCE], granted],
      [['https://other.example'], lacking],
      [[], lacking],
      [[`${RESOURCE}/`], lacking],
      [[`${RESOURCE}/items`], lacking],
      [[RESOURCE.toUpperCase()], lacking],
      [[`${RESOURCE}:443`], lacking],
      [[''], lacking]
    ]
    for (const [locations, expected] of rows)
      expect(await ask([{ ...good, locations }], payment), JSON.stringify(locations)).toEqual(expected)
  })

  test('RAR-02: does not apply one detail’s location to another', async () => {
    expect(
      await ask(
        [
          { ...good, locations: ['https://other.example'] },
          { ...good, actions: ['cancel'], locations: [RESOURCE] }
        ],
        payment
      )
    ).toEqual(lacking)
  })

  test('RAR-02: compares locations with the identifier of the API, not with an issuer’s audience for it', async () => {
    const of = api({}, { audience: 'orders' })
    const token = accessToken({
      claims: { aud: 'orders', authorization_details: [{ ...good, locations: ['orders'] }] }
    })
    expect(await outcome(of, bearer(token), payment)).toEqual(lacking)
  })
})

describe('RAR-03 (RFC 9396 §12): the decision of the function', () => {
  test('RAR-03 (RFC 9396 §12): passes details to the function as the token has them, frozen, in order, with the access', async () => {
    const seen: unknown[] = []
    const details = [
      { type: 'a', actions: ['Read', 'read'], privileges: ['ADMIN '], nested: { amount: '1.00' } },
      { type: 'b' },
      { type: 'a', identifier: 'é' }
    ]
    const check = authorizationDetails(
      (detail, access) => {
        seen.push(detail)
        expect(Object.isFrozen(detail)).toBe(true)
        expect(access.subject).toBe('u1')
        return false
      },
      { types: ['a'] }
    )
    expect(await ask(details, check)).toEqual(lacking)
    expect(seen).toEqual([details[0], details[2]])
  })

  test('RAR-03: does not normalize: Read is not read', async () => {
    expect(await ask([{ ...good, actions: ['Initiate'] }], payment)).toEqual(lacking)
  })

  test('RAR-03: stops at the first detail that is allowed', async () => {
    const allows = vi.fn(({ id }: AuthorizationDetail) => id === 2)
    const check = authorizationDetails(allows, { types: ['a'] })
    expect(
      await ask(
        [1, 2, 3].map((id) => ({ type: 'a', id })),
        check
      )
    ).toEqual(granted)
    expect(allows).toHaveBeenCalledTimes(2)
  })

  test('RAR-03 ORD-02: accepts only true, now or later, and asks one detail after the other', async () => {
    for (const answer of [false, undefined, null, 0, 1, 'true', {}, Promise.resolve(false), Promise.resolve(1)]) {
      const check = authorizationDetails(() => answer as boolean, { types: ['a'] })
      expect(await ask([{ type: 'a' }], check)).toEqual(lacking)
    }
    const order: string[] = []
    const slow = authorizationDetails(
      async ({ id }) => {
        order.push(`asked ${String(id)}`)
        await new Promise((resolve) => setImmediate(resolve))
        order.push(`said ${String(id)}`)
        return id === 2
      },
      { types: ['a'] }
    )
    expect(
      await ask(
        [1, 2, 3].map((id) => ({ type: 'a', id })),
        slow
      )
    ).toEqual(granted)
    expect(order).toEqual(['asked 1', 'said 1', 'asked 2', 'said 2'])
  })

  test('ORD-02: grants nothing if the function fails, and does not take that for a refusal', async () => {
    const broken = [
      () => {
        throw new RangeError('a bug')
      },
      () => Promise.reject(new RangeError('a bug'))
    ]
    for (const allows of broken) {
      const check = authorizationDetails(allows, { types: ['a'] })
      await expect(ask([{ type: 'a' }], check)).rejects.toThrow(RangeError)
    }
  })
})

describe('RAR-04 (RFC 9728 §2, RFC 6750 §3.1): the challenge and the metadata', () => {
  test('RAR-04: refuses unmet details with 403 insufficient_scope without scope, also beside granted scopes', async () => {
    expect(await ask([], scope('read'), payment)).toEqual(lacking)
    expect(await ask([], payment, scope('read'))).toEqual(lacking)
  })

  test('RAR-04 ORD-05: reports missing scopes and levels when it is their turn', async () => {
    const mfa = authentication({ acr: 'mfa' })
    expect(await ask([], payment, scope('write'), mfa)).toEqual(lacking)
    const { headers } = await ask([], scope('write'), mfa, payment)
    expect(headers['WWW-Authenticate']).toEqual([
      `Bearer error="insufficient_user_authentication", error_description="A different authentication level is required", scope="write", acr_values="mfa", ${METADATA}`
    ])
  })

  test('RAR-04: tells a client without a token of scopes alone', async () => {
    expect(await outcome(server, get(), scope('read'), payment)).toEqual(missing())
  })

  test('RAR-04 (RFC 9728 §2): publishes the types of all routes, each once, and no list without one', () => {
    const of = api()
    of.protect(scope('read'))
    expect(of.metadata?.document()).not.toHaveProperty('authorization_details_types_supported')
    of.protect(payment)
    of.protect(authorizationDetails(() => true, { types: ['account_information', 'payment_initiation'] }))
    expect(of.metadata?.document()).toMatchObject({
      authorization_details_types_supported: ['payment_initiation', 'account_information']
    })
  })

  test('RAR-04 (RFC 9449 §7.1): writes the error under the scheme that was used, with DPoP beside', async () => {
    const { headers } = await outcome(
      api({ dpop: { advertise: true, algorithms: ['ES256'] } }),
      bearer(accessToken()),
      payment
    )
    expect(headers['WWW-Authenticate']).toEqual([
      `Bearer error="insufficient_scope", error_description="${LACKING}", ${METADATA}`,
      `DPoP algs="ES256", ${METADATA}`
    ])
  })
})
