/**
 * Allows connections to public Internet addresses only: for servers whose names come from outside, such as the issuers
 * of tenants. It checks the address that the connection uses, so a name that resolves to one address at the check and
 * to another at the connection (DNS rebinding) gains nothing.
 *
 * The lists are IANA's special-purpose address registries (RFC 6890): all ranges that are not globally reachable, and
 * those that embed an IPv4 address (RFC 4291 §2.5.5, RFC 6052, RFC 3056, RFC 4380), which could be a private one.
 */
import { type LookupAddress, type LookupOptions, lookup } from 'node:dns'
import { BlockList, isIP } from 'node:net'

/** Thrown instead of connecting to an address that is not public. */
export class NotPublic extends Error {
  override readonly name = 'NotPublic'
}

type Network = readonly [network: string, prefix: number]

const IPV4: readonly Network[] = [
  ['0.0.0.0', 8],
  ['10.0.0.0', 8],
  ['100.64.0.0', 10],
  ['127.0.0.0', 8],
  ['169.254.0.0', 16],
  ['172.16.0.0', 12],
  ['192.0.0.0', 24],
  ['192.0.2.0', 24],
  ['192.88.99.0', 24],
  ['192.168.0.0', 16],
  ['198.18.0.0', 15],
  ['198.51.100.0', 24],
  ['203.0.113.0', 24],
  ['224.0.0.0', 4],
  ['240.0.0.0', 4]
]
const IPV6: readonly Network[] = [
  // Everything outside 2000::/3, the space of global unicast addresses …
  ['::', 3],
  ['4000::', 2],
  ['8000::', 1],
  // … and ranges inside it that are not global, or embed another address.
  ['2001::', 23],
  ['2001:db8::', 32],
  ['2002::', 16],
  ['3fff::', 20]
]

// Two lists: in a single list every IPv4 address would match `::/3`, as IPv4-mapped.
const special = { ipv4: listOf(IPV4, 'ipv4'), ipv6: listOf(IPV6, 'ipv6') }

function listOf(networks: readonly Network[], family: 'ipv4' | 'ipv6'): BlockList {
  const list = new BlockList()
  for (const [network, prefix] of networks) list.addSubnet(network, prefix, family)
  return list
}

/** @param address  an IP address; anything else is not public */
export function isPublic(address: string): boolean {
  switch (isIP(address)) {
    case 4:
      return !special.ipv4.check(address, 'ipv4')
    case 6:
      return !special.ipv6.check(address, 'ipv6')
    default:
      return false
  }
}

/** Like `lookup` of `node:dns`, without the addresses that are not public. */
export function lookupPublic(
  hostname: string,
  options: LookupOptions,
  callback: (error: Error | null, address: string | LookupAddress[], family?: number) => void
): void {
  lookup(hostname, { ...options, all: true }, (error, addresses) => {
    if (error) {
      callback(error, '')
      return
    }
    const open = addresses.filter(({ address }) => isPublic(address))
    const [first] = open
    if (first === undefined) callback(new NotPublic(`${hostname} has no public address`), '')
    else if (options.all) callback(null, open)
    else callback(null, first.address, first.family)
  })
}

/** Checks a host that is an IP address, because it is never looked up. @throws {NotPublic} if it is not public */
export function requirePublicHost(hostname: string): void {
  const address = hostname.replace(/^\[(.*)\]$/, '$1')
  if (isIP(address) !== 0 && !isPublic(address)) throw new NotPublic(`${address} is not a public address`)
}
