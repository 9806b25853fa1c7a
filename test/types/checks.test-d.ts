/** Step-up and authorization details as types: a detail has the members of its type, and only its types can be named. */
import { expectTypeOf } from 'vitest'
import {
  type Access,
  type AuthorizationDetail,
  authentication,
  authorizationDetails,
  type Check,
  fresh,
  type Protection,
  type ResourceRequest,
  type ResourceServerOptions,
  resourceServer,
  scope
} from '../../src/index.js'

const options = { resource: 'https://api.example.com', issuers: ['https://as.example.com'] }
const api = resourceServer(options)
const typed = resourceServer<'read' | 'write'>(options)
declare const access: Access
declare const request: ResourceRequest

// Without a type of one's own a detail has what RFC 9396 §2 says, and members nobody knows.
authorizationDetails(
  (detail, granted) => {
    expectTypeOf(detail).toEqualTypeOf<AuthorizationDetail>()
    expectTypeOf(detail.type).toEqualTypeOf<string>()
    expectTypeOf(detail.locations).toEqualTypeOf<readonly string[] | undefined>()
    expectTypeOf(detail['amount']).toEqualTypeOf<unknown>()
    expectTypeOf(granted).toEqualTypeOf<Access>()
    return true
  },
  { types: ['payment'] }
)

interface Payment extends AuthorizationDetail {
  readonly type: 'payment'
  readonly amount: { readonly currency: string; readonly value: string }
}
interface Account extends AuthorizationDetail {
  readonly type: 'account'
  readonly actions: readonly ('list' | 'read')[]
}

authorizationDetails<Payment>(({ amount }) => amount.currency === 'EUR', { types: ['payment'] })
authorizationDetails<Payment>(async ({ amount }) => amount.value === '1.00', { types: ['payment'] })
// @ts-expect-error a type that this detail does not have
authorizationDetails<Payment>(() => true, { types: ['account'] })
// @ts-expect-error a member that this detail does not have in that form
authorizationDetails<Payment>(({ amount }) => amount.value > 1, { types: ['payment'] })

// Several types: what they have in common, until it is asked which one it is.
authorizationDetails<Payment | Account>(
  (detail) => (detail.type === 'payment' ? detail.amount.currency === 'EUR' : detail.actions.includes('read')),
  { types: ['payment', 'account'] }
)
// @ts-expect-error a detail must have a type
authorizationDetails<{ amount: number }>(() => true, { types: ['payment'] })
// @ts-expect-error a predicate must decide
authorizationDetails(({ amount }) => amount, { types: ['payment'] })
// @ts-expect-error the types must be named
authorizationDetails(() => true)
// @ts-expect-error a misspelt option
authorizationDetails(() => true, { types: ['payment'], location: 'x' })

authentication({ acr: 'mfa' })
authentication({ acr: ['mfa', 'hwk'] as const, maxAge: 300 })
// @ts-expect-error seconds are a number
authentication({ maxAge: '300' })
// @ts-expect-error misspelt
authentication({ maxage: 300 })
// @ts-expect-error not optional
authentication()

// All are checks of any server, typed scopes or not, and no waivers.
for (const check of [authentication({ maxAge: 1 }), authorizationDetails(() => true, { types: ['a'] }), fresh()]) {
  expectTypeOf(check).toEqualTypeOf<Check>()
  expectTypeOf(api.protect(check, scope('a'))).toEqualTypeOf<Protection<Access>>()
  typed.protect(check, scope('read'))
  void typed.enforce(access, request, check)
}

// What a check may look at, and not change.
const own: Check = (_access, _request, context) => {
  expectTypeOf(context.now()).toEqualTypeOf<number>()
  // @ts-expect-error read-only
  context.clockTolerance = 0
}
api.protect(own)
expectTypeOf(access.confirmedBy).toEqualTypeOf<readonly ('dpop' | 'certificate')[]>()

// @ts-expect-error without proxies that are trusted, no field
const noProxies: ResourceServerOptions['clientCertificate'] = { field: 'X-Cert' }
// @ts-expect-error a parser answers bytes, not a promise of them
const promising: ResourceServerOptions['clientCertificate'] = { trustedProxies: [], parse: async () => undefined }
void [noProxies, promising]
