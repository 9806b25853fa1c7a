/** `http.publicAddressesOnly`: what is connected to, not what it is called. */
import { Agent } from 'undici'
import { afterEach, describe, expect, test } from 'vitest'
import { createHttp } from '../../src/http/exchange.js'
import { isPublic } from '../../src/http/public-addresses.js'
import { resourceServer } from '../../src/index.js'
import { ask, createBed } from '../support/exchange.js'

const bed = createBed()
const closing: { close(): Promise<void> }[] = []

afterEach(async () => {
  await Promise.all(closing.splice(0).map((one) => one.close()))
})

describe('an address', () => {
  test.each([
    ['0.0.0.0', 'this host'],
    ['0.255.255.255', 'this network'],
    ['10.0.0.1', 'private'],
    ['172.16.0.1', 'private'],
    ['172.31.255.255', 'private'],
    ['192.168.255.255', 'private'],
    ['100.64.0.1', 'shared, of carriers'],
    ['100.127.255.255', 'shared, of carriers'],
    ['127.0.0.1', 'loopback'],
    ['127.255.255.255', 'loopback'],
    ['169.254.169.254', 'link-local: where clouds keep credentials'],
    ['192.0.0.192', 'protocol assignments'],
    ['192.0.2.1', 'documentation'],
    ['198.51.100.1', 'documentation'],
    ['203.0.113.1', 'documentation'],
    ['198.18.0.1', 'benchmarking'],
    ['198.19.255.255', 'benchmarking'],
    ['192.88.99.1', '6to4 relays'],
    ['224.0.0.1', 'multicast'],
    ['239.255.255.255', 'multicast'],
    ['240.0.0.1', 'reserved'],
    ['255.255.255.255', 'broadcast'],
    ['::', 'unspecified'],
    ['::1', 'loopback'],
    ['::127.0.0.1', 'IPv4-compatible'],
    ['::ffff:127.0.0.1', 'IPv4-mapped'],
    ['::ffff:7f00:1', 'IPv4-mapped'],
    ['::ffff:8.8.8.8', 'IPv4-mapped, of a public one: there is no reason to write it so'],
    ['64:ff9b::7f00:1', 'NAT64'],
    ['64:ff9b:1::1', 'NAT64, local'],
    ['100::1', 'discard'],
    ['2001::1', 'Teredo'],
    ['2001:1ff::1', 'protocol assignments'],
    ['2001:db8::1', 'documentation'],
    ['3fff::1', 'documentation'],
    ['2002:7f00:1::', '6to4 of loopback'],
    ['fc00::1', 'unique local'],
    ['fd12:3456::1', 'unique local'],
    ['fe80::1', 'link-local'],
    ['fec0::1', 'site-local'],
    ['ff02::1', 'multicast'],
    ['4000::1', 'not assigned'],
    ['', 'none'],
    ['localhost', 'a name']
  ])('%s is not public (%s)', (address) => {
    expect(isPublic(address)).toBe(false)
  })

  test.each([
    '1.1.1.1',
    '8.8.8.8',
    '9.255.255.255',
    '11.0.0.0',
    '100.63.255.255',
    '100.128.0.0',
    '126.255.255.255',
    '128.0.0.1',
    '169.253.255.255',
    '172.15.255.255',
    '172.32.0.0',
    '192.0.1.0',
    '192.167.255.255',
    '192.169.0.0',
    '198.17.255.255',
    '198.20.0.0',
    '223.255.255.255',
    '2001:200::1',
    '2001:4860:4860::8888',
    '2003::1',
    '2606:4700:4700::1111',
    '3ffe::1'
  ])('%s is public', (address) => {
    expect(isPublic(address)).toBe(true)
  })
})

describe('publicAddressesOnly', () => {
  // One and the same server, by all the names and spellings that lead to it.
  test.each(['localhost', '127.0.0.1', '[::1]', '[::ffff:127.0.0.1]', '2130706433', '0x7f.1', '0.0.0.0'])(
    'does not connect to a server at %s, which gets no request',
    async (host) => {
      const server = await bed.issuer()
      const url = `http://${host}:${new URL(server.origin).port}/jwks`
      const http = createHttp(
        { dispatcher: undefined, timeout: 3, deadline: 5, publicAddressesOnly: true },
        () => undefined
      )
      closing.push(http)
      const attempt = http.exchange({ url, method: 'GET', headers: {}, dependency: 'jwks' })
      await expect(attempt).rejects.toMatchObject({
        status: 503,
        hint: expect.stringContaining('is not at a public address, which `http.publicAddressesOnly` requires'),
        cause: expect.objectContaining({ name: 'NotPublic' })
      })
      expect(server.requests).toEqual([])
    }
  )

  test('is off by default', async () => {
    const server = await bed.issuer()
    const http = createHttp({ dispatcher: undefined, timeout: 3, deadline: 5 }, () => undefined)
    closing.push(http)
    const url = `${server.origin}/jwks`
    expect(await http.exchange({ url, method: 'GET', headers: {}, dependency: 'jwks' })).toMatchObject({ status: 200 })
  })

  test('answers the client with 503 without an address', async () => {
    const issuer = await bed.issuer()
    const api = bed.api({ issuers: () => issuer.issuer, http: { publicAddressesOnly: true } })
    const answer = await ask(api, issuer.token())
    expect(answer).toMatchObject({ status: 503 })
    expect(issuer.requests).toEqual([])
  })

  test('refuses a custom dispatcher beside it at start, because it could not control its connections', () => {
    const options = { resource: 'https://api.example.com', issuers: ['https://as.example.com'] }
    const http = { publicAddressesOnly: true, dispatcher: new Agent() }
    expect(() => resourceServer({ ...options, http })).toThrow(/http\.publicAddressesOnly/)
    const misspelt = { publicAddressesOnly: 'yes' as unknown as boolean }
    expect(() => resourceServer({ ...options, http: misspelt })).toThrow(/http\.publicAddressesOnly/)
  })
})
