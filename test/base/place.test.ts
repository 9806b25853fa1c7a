/** Whether the URL that is asked is the URL that was written. */
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { isAskedAsWritten, isHttp, withoutPath } from '../../src/base/place.js'

describe('isAskedAsWritten', () => {
  test.each([
    'https://as.example.com',
    'https://as.example.com/',
    'https://as.example.com:443',
    'HTTPS://AS.Example.COM/Tenant',
    'https://as.example.com/t/a',
    'https://as.example.com/t/a/',
    'https://as.example.com//t',
    'https://as.example.com/realms/my%20realm',
    'https://as.example.com/realms/caf%C3%A9',
    'https://as.example.com/t/...',
    'https://as.example.com/t/..a',
    'https://as.example.com/t/a..',
    'https://as.example.com/t/.well-known',
    'https://as.example.com/t;v=1',
    'https://as.example.com/t?x=../y',
    'https://as.example.com/t#../y',
    'https://as.example.com?x',
    'https://user@as.example.com/t',
    'http://127.0.0.1:8080/t',
    'https://[::1]/t',
    `https://as.example.com/${'a'.repeat(100_000)}`
  ])('accepts %.60s', (url) => {
    expect(isAskedAsWritten(url)).toBe(true)
  })

  test.each([
    'https://as.example.com/t/../x',
    'https://as.example.com/t/.a/../x',
    'https://as.example.com/t/.a/..',
    'https://as.example.com/t//.a/./x',
    'https://as.example.com/t/.@/.',
    'https://as.example.com/t/./x',
    'https://as.example.com/t/..',
    'https://as.example.com/..',
    'https://as.example.com/.',
    'https://as.example.com/t/%2e%2e/x',
    'https://as.example.com/t/%2E%2e/x',
    'https://as.example.com/t/.%2e/x',
    'https://as.example.com/t/%2e./x',
    'https://as.example.com/t/%2e',
    'https://as.example.com/t/..?x',
    'https://as.example.com/t/..#x',
    'https://as.example.com/t/..;/x',
    'https://as.example.com/t/..;a=b/x',
    'https://as.example.com/t/%2e%2e;/x',
    'https://as.example.com/t/..%3B/x',
    'https://as.example.com/t/..%2fx',
    'https://as.example.com/t/..%2Fx',
    'https://as.example.com/t%2fx',
    'https://as.example.com/t/..%5cx',
    'https://as.example.com/t%5Cx',
    'https://as.example.com/t/..%252fx',
    'https://as.example.com/t/..%25252Fx',
    'https://as.example.com/t/%252e%252e/x',
    'https://as.example.com/t%255cx',
    'https://as.example.com/t%00',
    'https://as.example.com/t%0d%0a',
    'https://as.example.com/t%7f',
    'https://as.example.com/t/%c0%ae%c0%ae/x',
    'https://as.example.com/t/..%c0%afx',
    'https://as.example.com/t%',
    'https://as.example.com/t%u002e',
    'https://as.example.com/t/\u3002\u3002/x',
    'https://as.example.com/t/\uff0e\uff0e/x',
    'https://as.example.com/caf\u00e9',
    'https://as.example.com/a b',
    'https://as.example.com/ ',
    'https://as.example.com/ SECRET',
    ' https://as.example.com/',
    'https://as.example.com/t\t',
    'https://as.example.com/t/.\t./x',
    'https://as.example.com/t\r\n',
    'https://as.ex\tample.com/t',
    'https://as.example.com/t\0',
    'https://as.example.com/t/..\\x',
    'https://as.example.com\\t',
    'https:\\\\as.example.com',
    'https:as.example.com',
    'https:/as.example.com/t',
    'https:///as.example.com/t',
    'https://',
    'https://as.example.com:99999/t',
    '//as.example.com/t',
    'ftp://as.example.com/t',
    'acme.com',
    'kubernetes/serviceaccount',
    ''
  ])('refuses %j', (url) => {
    expect(isAskedAsWritten(url)).toBe(false)
  })

  test('accepts a text only if its path is the path of the request', () => {
    const part = fc.constantFrom(
      '..',
      '.',
      '/',
      '\\',
      '%2e',
      '%2F',
      '%5c',
      '%25',
      ';',
      'a',
      '?',
      '#',
      '@',
      ':',
      '\t',
      ' ',
      '\u3002'
    )
    fc.assert(
      fc.property(fc.array(part, { maxLength: 12 }), (parts) => {
        const text = `https://as.example.com/t${parts.join('')}`
        fc.pre(isAskedAsWritten(text))
        const { origin, pathname } = new URL(text)
        expect(text).toContain(pathname)
        expect(pathname.split('/').some((segment) => /^\.{1,2}$/.test(decodeURIComponent(segment)))).toBe(false)
        if (origin === 'https://as.example.com') expect(text.startsWith(origin + pathname)).toBe(true)
      }),
      { numRuns: 5000 }
    )
  })
})

describe('isHttp', () => {
  test.each([
    ['https://as.example.com', true],
    ['HTTP:as.example.com', true],
    [' https://as.example.com', true],
    ['h\tttps://as.example.com', true],
    ['https://[', true],
    ['acme.com', false],
    ['kubernetes/serviceaccount', false],
    ['urn:https:x', false],
    ['httpx://as.example.com', false],
    ['../x', false],
    ['', false]
  ])('%j: %s', (text, expected) => {
    expect(isHttp(text)).toBe(expected)
  })
})

test.each([
  ['https://as.example.com', 'https://as.example.com'],
  ['https://as.example.com/SECRET', 'https://as.example.com/…'],
  ['SECRET', 'a text that is not a URL']
])('withoutPath: %s is shown as %s', (url, expected) => {
  expect(withoutPath(url)).toBe(expected)
})
