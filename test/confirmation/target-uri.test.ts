/**
 * Target URIs are compared after the normalization of RFC 3986 §6.2.2 and §6.2.3 and no other. What that means is
 * written here a second time, from RFC 3986 alone: §5.2.4 word by word, percent-encoding octet by octet.
 */
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { isTargetUri, normalizeUri } from '../../src/confirmation/target-uri.js'

const BASE = 'https://api.example.com'

/** RFC 3986 §5.2.4, with its input and output buffers. */
function removeDotSegments(path: string): string {
  let input = path
  let output = ''
  while (input !== '') {
    if (input.startsWith('../')) input = input.slice(3)
    else if (input.startsWith('./')) input = input.slice(2)
    else if (input.startsWith('/./')) input = input.slice(2)
    else if (input === '/.') input = '/'
    else if (input.startsWith('/../') || input === '/..') {
      input = `/${input.slice(4)}`
      output = output.slice(0, Math.max(0, output.lastIndexOf('/')))
    } else if (input === '.' || input === '..') input = ''
    else {
      const end = input.indexOf('/', 1)
      output += end < 0 ? input : input.slice(0, end)
      input = end < 0 ? '' : input.slice(end)
    }
  }
  return output
}

/** RFC 3986 §6.2.2.1 and §6.2.2.2. */
function normalizeEncoding(path: string): string {
  let result = ''
  for (let i = 0; i < path.length; i++) {
    const digits = path.slice(i + 1, i + 3)
    if (path[i] !== '%' || !/^[0-9a-f]{2}$/i.test(digits)) {
      result += path[i]
      continue
    }
    const character = String.fromCharCode(Number(`0x${digits}`))
    result += /[\w.~-]/.test(character) ? character : `%${digits.toUpperCase()}`
    i += 2
  }
  return result
}

const normalPath = (path: string): string => removeDotSegments(normalizeEncoding(path)) || '/'

const segment = fc.oneof(
  {
    weight: 2,
    arbitrary: fc.constantFrom('.', '..', '', '%2e', '%2E%2e', '...', '.a', 'a.', '%2F', '%2f', '%', '%zz', '%7e')
  },
  {
    weight: 1,
    arbitrary: fc.string({
      unit: fc.constantFrom(...Array.from('abAB01-._~!$&\'()*+,;=:@%"<>[\\]^`{|}')),
      maxLength: 4
    })
  }
)
const path = fc.array(segment, { maxLength: 7 }).map((segments) => `/${segments.join('/')}`)

describe('RFC 3986 §6.2.2, §6.2.3', () => {
  test('DPP-10: normalizes any path as §5.2.4 and §6.2.2 say', () => {
    fc.assert(
      fc.property(path, (one) => {
        expect(normalizeUri(BASE + one)).toBe(BASE + normalPath(one))
      }),
      { numRuns: 2000 }
    )
  })

  test('DPP-10: a normalized path stays unchanged', () => {
    fc.assert(
      fc.property(path, (one) => {
        const normal = normalizeUri(BASE + one) as string
        expect(normalizeUri(normal)).toBe(normal)
      }),
      { numRuns: 500 }
    )
  })

  test('DPP-09 DPP-10 DPP-11: a request’s path and an htu match exactly if their normal forms do', () => {
    const query = fc.constantFrom('', '?', '?a=b', '?a=/../b', '?x#y')
    fc.assert(
      fc.property(path, path, query, query, fc.boolean(), (requested, claimed, ours, theirs, same) => {
        const htu = same ? requested : claimed
        expect(isTargetUri([BASE], requested + ours, BASE + htu + theirs)).toBe(
          normalPath(requested) === normalPath(htu)
        )
      }),
      { numRuns: 2000 }
    )
  })

  test.each([
    ['HTTPS://API.Example.COM/a', 'https://api.example.com/a'],
    ['https://api.example.com:443/a', 'https://api.example.com/a'],
    ['https://api.example.com:/a', 'https://api.example.com/a'],
    ['http://api.example.com:80/a', 'http://api.example.com/a'],
    ['http://api.example.com:/a', 'http://api.example.com/a'],
    ['https://api.example.com:80/a', 'https://api.example.com:80/a'],
    ['http://api.example.com:443/a', 'http://api.example.com:443/a'],
    ['https://api.example.com:4430/a', 'https://api.example.com:4430/a'],
    ['https://[2001:DB8::1]:443/a', 'https://[2001:db8::1]/a'],
    ['https://api.example.com', 'https://api.example.com/'],
    ['https://api.example.com?a', 'https://api.example.com/'],
    ['https://api.example.com#a', 'https://api.example.com/'],
    ['https://api.example.com/A%7eb%c3%A9', 'https://api.example.com/A~b%C3%A9'],
    ['https://api.example.com/%41%2d%5F', 'https://api.example.com/A-_'],
    ['https://api.example.com/a/%2e%2e/b', 'https://api.example.com/b'],
    ['https://api.example.com/../../a', 'https://api.example.com/a'],
    ['https://api.example.com/a/..', 'https://api.example.com/'],
    ['https://api.example.com/a/.', 'https://api.example.com/a/'],
    ['https://api.example.com//a//', 'https://api.example.com//a//'],
    ['https://api.example.com/a%252e', 'https://api.example.com/a%252e']
  ])('DPP-10: %s is %s', (uri, normal) => {
    expect(normalizeUri(uri)).toBe(normal)
  })

  test.each([
    '',
    '/',
    'api.example.com/a',
    '//api.example.com/a',
    'https:',
    'https:/a',
    'https://',
    'https:///a',
    'https://?a',
    'ftp://api.example.com/a',
    'wss://api.example.com/a',
    'https ://api.example.com/a',
    ' https://api.example.com/a',
    'https://user@api.example.com/a',
    'https://user:pass@api.example.com/a',
    'https://@api.example.com/a',
    'https://api.example.com /a',
    'https://api.example.com/a b',
    'https://api.example.com/a\n',
    'https://api.example.com/\u0000',
    'https://api.example.com/é',
    'https://аpi.example.com/a',
    'https://api.example.com/\ud800',
    'javascript:alert(1)//https://api.example.com/a'
  ])('DPP-11: refuses %j, which is not an http URI that can be compared', (uri) => {
    expect(normalizeUri(uri)).toBeUndefined()
  })
})

describe('isTargetUri', () => {
  const differences: readonly (readonly [string, string, string])[] = [
    ['a slash at the end', '/items/', '/items'],
    ['a slash missing at the end', '/items', '/items/'],
    ['two slashes', '//items', '/items'],
    ['the case of a path', '/Items', '/items'],
    ['an encoded slash', '/a%2Fb', '/a/b'],
    ['a slash encoded twice', '/a%252Fb', '/a%2Fb'],
    ['an encoded question mark', '/a%3Fb', '/a?b'],
    ['an encoded percent sign', '/%2541', '/%41'],
    ['a plus and a blank', '/a+b', '/a%20b'],
    ['a parameter of a segment', '/a;b', '/a'],
    ['a backslash', '/a\\b', '/a/b'],
    ['a longer path', '/items/1', '/items'],
    ['a shorter path', '/item', '/items']
  ]
  for (const [what, requested, claimed] of differences) {
    test(`DPP-11 (RFC 3986 §6.2.2): treats as different: ${what}`, () => {
      expect(isTargetUri([BASE], requested, BASE + claimed)).toBe(false)
      expect(isTargetUri([BASE], requested, BASE + requested)).toBe(!requested.includes('?'))
    })
  }

  test('DPP-12: refuses a target that does not begin with a slash', () => {
    for (const target of ['.evil.example/a', '@evil.example/a', ':444/a', '*', 'items', 'ftp://api.example.com/a']) {
      expect(isTargetUri([BASE], target, BASE + target), target).toBe(false)
      expect(isTargetUri([`${BASE}/base`], target, `${BASE}/base${target}`), target).toBe(false)
    }
  })

  test('DPP-12: dot segments of a request do not climb out of the path of publicUrl', () => {
    const bases = [`${BASE}/base`]
    for (const target of ['/../x', '/%2e%2e/x', '/a/../../x']) {
      expect(isTargetUri(bases, target, `${BASE}/x`), target).toBe(false)
      expect(isTargetUri(bases, target, `${BASE}/base/x`), target).toBe(true)
    }
    expect(isTargetUri(bases, '/x', `${BASE}/base/../base/x`)).toBe(true)
    expect(isTargetUri(bases, '/base/x', `${BASE}/base/x`)).toBe(false)
  })

  test('DPP-12: a target without a path is the base itself, with or without a query', () => {
    for (const base of [BASE, `${BASE}/base`])
      for (const target of ['', '?', '?a=b', '#a']) {
        expect(isTargetUri([base], target, base), target).toBe(true)
        expect(isTargetUri([base], target, `${base}/x`), target).toBe(false)
      }
    expect(isTargetUri([`${BASE}/base`], '', `${BASE}/base/`)).toBe(false)
  })

  test('DPP-11: a target with characters that no URI may have matches only the same text', () => {
    for (const target of ['/é', '/a b', '/\u0000', '/\ud800']) {
      expect(isTargetUri([BASE], target, BASE + target), target).toBe(true)
      for (const htu of ['', 'x', 'ftp://api.example.com/a', 'https://evil.example/é', `${BASE}/à`, `${BASE}/./é`])
        expect(isTargetUri([BASE], target, htu), htu).toBe(false)
    }
  })

  test('DPP-12: compares a base in its normal form, however it was written', () => {
    for (const base of ['https://api.example.com:443', 'HTTPS://API.example.com', 'https://api.example.com/%7Ea/../'])
      expect(isTargetUri([base.replace(/\/$/, '')], '/items', `${BASE}/items`), base).toBe(true)
  })

  test('DPP-12: matches nothing without a base', () => {
    expect(isTargetUri([], '/items', `${BASE}/items`)).toBe(false)
    expect(isTargetUri([], '', '')).toBe(false)
  })

  test('DPP-12: another origin never matches, whatever the path', () => {
    const origin = fc.constantFrom(
      'http://api.example.com',
      'https://api.example.com:8443',
      'https://api.example.co',
      'https://api.example.com.evil.example',
      'https://evil.example',
      'https://evil.example/api.example.com',
      'https://evil.example?https://api.example.com',
      'https://evil.example#https://api.example.com',
      'https://api.example.com@evil.example',
      'https://api.example.com%2eevil.example',
      'https://api.example.com\\evil.example',
      'https://evil.example\\@api.example.com',
      'https:api.example.com',
      '',
      '//api.example.com'
    )
    fc.assert(
      fc.property(origin, path, (other, one) => {
        expect(isTargetUri([BASE], one, other + one)).toBe(false)
      }),
      { numRuns: 500 }
    )
  })
})
