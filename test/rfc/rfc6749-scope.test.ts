/** RFC 6749 §3.3: scopes, as a token grants them and as a route requires them. */
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { anyScope, type Check, resourceServer, scope } from '../../src/index.js'
import {
  access,
  accessToken,
  api,
  bearer,
  get,
  granted,
  insufficient,
  missing,
  outcome,
  RESOURCE,
  RESOURCE_METADATA,
  refusal,
  refused
} from '../support/refusals.js'

const server = api()
const granting = (value: unknown, claim = 'scope'): ReturnType<typeof bearer> =>
  bearer(accessToken({ claims: { scope: undefined, [claim]: value } }))
const scopesOf = async (value: unknown): Promise<readonly string[]> =>
  (await access(server, accessToken({ claims: { scope: value } }))).scopes

describe('what a token grants', () => {
  test('SCP-01 (RFC 6749 §3.3): reads a space-delimited set, without order', async () => {
    expect(await scopesOf('write read')).toEqual(['write', 'read'])
    expect(await outcome(server, granting('write read'), scope('read', 'write'))).toEqual(granted)
    expect(await scopesOf('read write read')).toEqual(['read', 'write'])
  })

  test('SCP-01 DEN-13 (RFC 6749 §3.3): compares scopes case-sensitively', async () => {
    expect(await outcome(server, granting('Read'))).toEqual(insufficient('read'))
    expect(await outcome(server, granting('read'), scope('Read'))).toEqual(insufficient('Read'))
  })

  test('SCP-01 (RFC 6749 §3.3): reads every character that a scope may have', async () => {
    const all = String.fromCharCode(...Array.from({ length: 94 }, (_, i) => 0x21 + i)).replace(/["\\]/g, '')
    expect(all).toHaveLength(92)
    expect(await outcome(server, granting(all), scope(all))).toEqual(granted)
  })

  test('SCP-02 DEN-13 (RFC 6749 §3.3): compares whole words: no substring, prefix, suffix or wildcard', async () => {
    const near = ['readwrite', 'xread', 're', '*', 'read*', 'read:all', 'read:', 'read,write', 'read/write', 'read.']
    for (const one of near) expect(await outcome(server, granting(one))).toEqual(insufficient('read'))
  })

  test('SCP-02 (RFC 6749 §3.3): reads names of Object’s own as ordinary scopes', async () => {
    for (const name of ['__proto__', 'constructor', 'toString', 'hasOwnProperty']) {
      expect(await outcome(server, bearer(accessToken()), scope(name))).toEqual(insufficient(name))
      expect(await outcome(server, granting(name), scope(name))).toEqual(granted)
    }
  })

  test('SCP-03 (RFC 6749 §3.3): ignores repeated, leading and trailing spaces', async () => {
    expect(await scopesOf('read  write')).toEqual(['read', 'write'])
    expect(await scopesOf('  read ')).toEqual(['read'])
    expect(await scopesOf('   ')).toEqual([])
  })

  const malformed = ['read\twrite', 'read\nwrite', 'read\0', 'read "write"', 'read\\', 'réad', 'read\u00a0write']
  test.each(malformed)(
    'SCP-03 DEN-11 (RFC 6749 §3.3): refuses the malformed claim %j, and does not read half of it',
    async (value) => {
      expect(await outcome(server, granting(value))).toEqual(refused('DEN-11', 'claim'))
    }
  )

  const others = [1, true, {}, { read: true }, [1], ['read', null], [['read']]]
  test.each(others)(
    'SCP-03 DEN-11 (RFC 9068 §2.2.3): refuses the claim %j, which is of the wrong type',
    async (value) => {
      expect(await outcome(server, granting(value))).toEqual(refused('DEN-11', 'claim'))
    }
  )

  test('SCP-03: grants no scope for the claim null', async () => {
    expect(await scopesOf(null)).toEqual([])
    expect(await outcome(server, granting(null))).toEqual(insufficient('read'))
    const later = bearer(accessToken({ claims: { scope: null, scp: 'read' } }))
    expect(await outcome(server, later)).toEqual(granted)
  })

  test('SCP-04 (RFC 9068 §2.2.3): reads each element of an array as one scope', async () => {
    expect(await scopesOf(['read', 'write', 'read'])).toEqual(['read', 'write'])
    expect(await outcome(server, granting(['write', 'read']))).toEqual(granted)
  })

  test('SCP-04 DEN-13 (RFC 9068 §2.2.3): does not split an element with a space', async () => {
    expect(await outcome(server, granting(['read write']))).toEqual(insufficient('read'))
    expect(await scopesOf(['read write'])).toEqual(['read write'])
  })

  test('DEF-20 DEN-13 (RFC 6749 §3.3): grants no scope without a claim, and never all', async () => {
    expect(await outcome(server, granting(undefined))).toEqual(insufficient('read'))
    expect(await scopesOf(undefined)).toEqual([])
    for (const empty of ['', [], ' ']) expect(await outcome(server, granting(empty))).toEqual(insufficient('read'))
  })

  test('SCP-04: reads `scp`, string or array, where `scope` is missing', async () => {
    expect(await outcome(server, granting('read', 'scp'))).toEqual(granted)
    expect(await outcome(server, granting(['read'], 'scp'))).toEqual(granted)
  })

  test('SCP-02 DEN-13: reads `scope` alone where a token has both, and does not add them up', async () => {
    const both = bearer(accessToken({ claims: { scope: 'write', scp: 'read' } }))
    expect(await outcome(server, both)).toEqual(insufficient('read'))
    const empty = bearer(accessToken({ claims: { scope: '', scp: 'read' } }))
    expect(await outcome(server, empty)).toEqual(insufficient('read'))
  })

  test('SCP-04 ATV-16: reads only the claim that an issuer’s `scopeClaim` names', async () => {
    const custom = api({}, { scopeClaim: 'permissions' })
    expect(await outcome(custom, granting(['read'], 'permissions'))).toEqual(granted)
    expect(await outcome(custom, granting('read', 'scope'))).toEqual(insufficient('read'))
    const either = api({}, { scopeClaim: ['permissions', 'scope'] })
    expect(await outcome(either, granting('read', 'scope'))).toEqual(granted)
  })

  test('ATV-10 DEN-13 (RFC 9068 §2.2.3.1): does not read roles, groups and entitlements as scopes', async () => {
    const claims = {
      scope: undefined,
      roles: ['read'],
      groups: ['read'],
      entitlements: ['read'],
      permissions: ['read']
    }
    const token = accessToken({ claims })
    expect(await outcome(server, bearer(token))).toEqual(insufficient('read'))
    expect((await access(server, token)).claims).toMatchObject({
      roles: ['read'],
      groups: ['read'],
      entitlements: ['read']
    })
  })
})

describe('a hierarchy', () => {
  const hierarchical = api({ scopeHierarchy: { admin: ['write'], write: ['read'], a: ['b'], b: ['a'] } })

  test('SCP-05 (MCP Step-Up Authorization Flow): a scope grants the scopes that it includes, at any depth', async () => {
    expect(await outcome(hierarchical, granting('admin'))).toEqual(granted)
    expect(await outcome(hierarchical, granting('write'), scope('read', 'write'))).toEqual(granted)
    expect((await access(hierarchical, accessToken({ claims: { scope: 'admin' } }))).scopes).toEqual([
      'admin',
      'write',
      'read'
    ])
  })

  test('SCP-05 DEN-13: an included scope does not grant the scope that includes it', async () => {
    expect(await outcome(hierarchical, granting('read'), scope('write'))).toEqual(insufficient('write'))
  })

  test('SCP-05: reads a circle as two names for one scope, and ends', async () => {
    expect(await outcome(hierarchical, granting('a'), scope('b'))).toEqual(granted)
    expect(await outcome(hierarchical, granting('b'), scope('a'))).toEqual(granted)
  })

  test('SCP-05: gives `admin` no meaning without a hierarchy', async () => {
    expect(await outcome(server, granting('admin'))).toEqual(insufficient('read'))
  })

  test('SCP-05 SCP-06: a challenge names the required scope, not one that includes it', async () => {
    expect(await outcome(hierarchical, granting('other'))).toEqual(insufficient('read'))
  })
})

describe('what a route requires', () => {
  test('SCP-06 DEN-13 MCP-05 (RFC 6750 §3.1): the challenge lists all scopes of the operation, not only the missing ones', async () => {
    expect(await outcome(server, granting('a'), scope('a', 'b'))).toEqual(insufficient('a b'))
    expect(await outcome(server, granting('a'), scope('a'), scope('b'), scope('c'))).toEqual(insufficient('a b c'))
    expect(await outcome(server, granting('c'), scope('a'), scope('b', 'c'))).toEqual(insufficient('a b c'))
  })

  test('SCP-06 (RFC 6750 §3.1): the challenge lists none of the client’s other scopes', async () => {
    expect(await outcome(server, granting('x y z'), scope('a'))).toEqual(insufficient('a'))
  })

  test('SCP-06 SCP-07: the challenge lists the granted one of alternatives within the operation', async () => {
    expect(await outcome(server, granting('y'), anyScope('x', 'y'), scope('z'))).toEqual(insufficient('y z'))
    expect(await outcome(server, granting('q'), scope('z'), anyScope('x', 'y'))).toEqual(insufficient('z x'))
  })

  test('SCP-07 DEN-13 (RFC 6750 §3): scope() requires every scope', async () => {
    expect(await outcome(server, granting('a b'), scope('a', 'b'))).toEqual(granted)
    expect(await outcome(server, granting('b'), scope('a', 'b'))).toEqual(insufficient('a b'))
  })

  test('SCP-07 DEN-13 (RFC 6750 §3): anyScope() requires one scope, and the challenge names the preferred one', async () => {
    for (const one of ['x', 'y', 'x y'])
      expect(await outcome(server, granting(one), anyScope('x', 'y'))).toEqual(granted)
    expect(await outcome(server, granting('z'), anyScope('x', 'y'))).toEqual(insufficient('x'))
    expect(await outcome(server, granting(undefined), anyScope('y', 'x'))).toEqual(insufficient('y'))
  })

  test('SCP-07: a check of the application may declare its scopes as ours do', async () => {
    const check: Check<string> = Object.assign(() => {}, { scopes: ['export'] })
    const pointer = `resource_metadata="${RESOURCE_METADATA}"`
    expect(await outcome(server, get(), check)).toEqual(missing(`Bearer scope="export", ${pointer}`))
  })

  const impossible = ['', ' ', 'a b', 'a"', 'a\\b', 'a\tb', 'é', 'a\n', '\x7F']
  test.each(impossible)('SCP-08 (RFC 6749 §3.3): refuses the scope %j at start', (one) => {
    expect(() => scope(one)).toThrow(/^scope\(.*\): a scope is printable ASCII without space, quote or backslash/)
    expect(() => anyScope('read', one)).toThrow(/^anyScope\(/)
    expect(() => api({ scopes: [one] })).toThrow(/`scopes` holds .*, which is not a scope/)
    expect(() => api({ scopeHierarchy: { [one]: ['read'] } })).toThrow(
      /`scopeHierarchy` holds .*, which is not a scope/
    )
    expect(() => api({ scopeHierarchy: { read: [one] } })).toThrow(/`scopeHierarchy/)
  })

  test('SCP-08: refuses a check without a scope at start', () => {
    expect(() => scope()).toThrow('scope() needs at least one scope')
    expect(() => anyScope()).toThrow('anyScope() needs at least one scope')
    expect(() => scope(undefined as never)).toThrow(TypeError)
  })

  test('SCP-08: refuses a scope at start that the API does not declare', () => {
    const declared = api({ scopes: ['read'] })
    expect(() => declared.protect(scope('raed' as 'read'))).toThrow('the scope "raed" is not in the option `scopes`')
    expect(() => declared.protect(anyScope('read', 'raed' as 'read'))).toThrow(TypeError)
    expect(() => api({ scopes: ['read'], checks: [scope('raed')] }).protect()).toThrow(TypeError)
    expect(declared.protect(scope('read'))).toBeDefined()
  })

  test('SCP-09 (MCP Refresh Tokens): does not ask for declared scopes that no route requires, such as offline_access', async () => {
    const login = ['openid', 'profile', 'email', 'offline_access']
    const one = resourceServer({ resource: RESOURCE, issuers: ['https://as.example.com'], scopes: ['read', ...login] })
    const route = one.protect(scope('read'))
    const error = await refusal(() => route.authorize(get()))
    expect(error.headers['WWW-Authenticate']).toEqual([`Bearer scope="read", resource_metadata="${RESOURCE_METADATA}"`])
    expect(one.metadata?.document()).toMatchObject({ scopes_supported: ['read'] })
  })
})

describe('properties', () => {
  const name = fc.stringMatching(/^[\x21\x23-\x5B\x5D-\x7E]{1,12}$/)

  test('SCP-01 SCP-02 (RFC 6749 §3.3): a route accepts exactly the tokens that grant its scopes', () => {
    const small = fc.constantFrom('a', 'b', 'A', 'ab', 'a:b', 'b:a')
    return fc.assert(
      fc.asyncProperty(fc.uniqueArray(small), fc.uniqueArray(small, { minLength: 1 }), async (has, needs) => {
        const { status } = await outcome(server, granting(has.join(' ')), scope(...needs))
        expect(status).toBe(needs.every((one) => has.includes(one)) ? 200 : 403)
        const any = await outcome(server, granting(has), anyScope(...needs))
        expect(any.status).toBe(needs.some((one) => has.includes(one)) ? 200 : 403)
      }),
      { numRuns: 50 }
    )
  })

  test('SCP-01 SCP-08 (RFC 6749 §3.3): accepts every scope of the grammar, in a claim and in a challenge', () =>
    fc.assert(
      fc.asyncProperty(fc.uniqueArray(name, { minLength: 1, maxLength: 4 }), async (names) => {
        expect(await outcome(server, granting(names.join(' ')), scope(...names))).toEqual(granted)
        expect(await outcome(server, granting(''), scope(...names))).toEqual(insufficient(names.join(' ')))
      }),
      { numRuns: 50 }
    ))

  test('SCP-03 (RFC 6749 §3.3): reads any text as the grammar says, or refuses it', () =>
    fc.assert(
      fc.asyncProperty(fc.string({ unit: 'binary' }), async (text) => {
        const { status } = await outcome(server, granting(text), () => {})
        expect(status).toBe(/^[\x20\x21\x23-\x5B\x5D-\x7E]*$/.test(text) ? 200 : 401)
      }),
      { numRuns: 100 }
    ))
})
