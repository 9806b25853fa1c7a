/** Targets in a request: the fields `Authorization` and `DPoP`, and those in which a proxy tells of a certificate. */
import { calculateJwkThumbprint, exportJWK, importJWK, type JWK, jwtVerify } from 'jose'
import { expect } from 'vitest'
import {
  forwardedClientCert,
  type IssuerOptions,
  type ResourceServerOptions,
  resourceServer,
  scope,
  urlEncodedPem
} from '../../src/index.js'
import { type Expected, isGrant, isLegacyAccessToken, isNumber, isObject, isText, take, verified } from './oracle.js'
import { requestWith, requireExpected, type Target, verdictOf } from './target.js'
import { expand } from './template.js'
import { CERTIFICATE, ISSUER, JKT, JWKS, NONCE_SECRET, NOW, RESOURCE, sha256 } from './world.js'

const REFUSALS = [400, 401, 403]

function api(options: Partial<ResourceServerOptions> = {}, issuer: Partial<IssuerOptions> = {}) {
  return resourceServer({
    resource: RESOURCE,
    issuers: [{ issuer: ISSUER, jwks: JWKS as never, ...issuer }],
    now: () => NOW,
    ...options
  })
}

const linesOf = (input: string): readonly string[] => (input === '' ? [] : input.split('\n'))

// ---- Authorization

/** One line an `Authorization` field. */
export function authorization(tokenProfile: 'rfc9068' | 'legacy' = 'rfc9068'): Target {
  const server = api({}, { tokenProfile })
  const route = server.protect(scope('read'))
  return {
    run: async (input) => {
      const request = requestWith({ authorization: linesOf(input) })
      const verdict = await verdictOf(() => route.authorize(request), REFUSALS)
      // Once more, when what was verified may be remembered.
      expect(await verdictOf(() => route.authorize(request), REFUSALS)).toBe(verdict)
      requireExpected(verdict, await expectedOfBearer(linesOf(input), tokenProfile))
      return verdict
    },
    close: () => server.close()
  }
}

async function expectedOfBearer(lines: readonly string[], tokenProfile: 'rfc9068' | 'legacy'): Promise<Expected> {
  const [line = '', another] = lines
  const token = /^bearer +([\w.~+/-]+=*)$/i.exec(line)?.[1]
  if (token === undefined || another !== undefined || token.length > 16_384) return 'refused'
  const legacy = tokenProfile === 'legacy' ? ['application/jwt', undefined] : []
  const jws = await verified(token, { types: ['application/at+jwt', ...legacy], mayHaveEmptyDates: true })
  const required = ['iss', 'aud', 'exp', ...(tokenProfile === 'legacy' ? [] : ['sub', 'client_id', 'iat', 'jti'])]
  if (jws === undefined || !isGrant(jws.claims, { required })) return 'refused'
  return tokenProfile === 'legacy' && !isLegacyAccessToken(jws.claims) ? 'refused' : 'accepted'
}

// ---- DPoP

/** One line a `DPoP` field, beside a token that is bound to a key. Nonces are offered. */
export function dpop(): Target {
  const used = new Set<string>()
  const replayStore = { add: (key: string) => !used.has(key) && used.add(key).size > 0 }
  const server = api({ dpop: { advertise: true, nonces: 'offered', nonceSecret: NONCE_SECRET, replayStore } })
  const token = expand('<<bound>>')
  const route = server.protect(scope('read'))
  return {
    run: async (input) => {
      used.clear()
      const request = requestWith({ authorization: [`DPoP ${token}`], dpop: linesOf(input) })
      const verdict = await verdictOf(() => route.authorize(request), REFUSALS)
      // A proof is good for one request, and one that is no good is not remembered.
      expect(used.size).toBe(verdict === 'accepted' ? 1 : 0)
      const again = await verdictOf(() => route.authorize(request), REFUSALS)
      expect(again).toBe(verdict === 'accepted' ? 'proof_replayed' : verdict)
      requireExpected(verdict, await expectedOfProof(linesOf(input), token))
      return verdict
    },
    close: () => server.close()
  }
}

/** What a key is made of (RFC 7638 §3.2). */
const MEMBERS: ReadonlyMap<unknown, readonly string[]> = new Map([
  ['EC', ['kty', 'crv', 'x', 'y']],
  ['OKP', ['kty', 'crv', 'x']],
  ['RSA', ['kty', 'n', 'e']]
])

/** The key's own `use`, `key_ops` and `alg` (RFC 7517 §4.2 to §4.4), where they say something, fit a signature by `alg`. */
function isForVerifying({ use, key_ops: operations, alg }: Record<string, unknown>, used: unknown): boolean {
  const says = (member: unknown): boolean =>
    member !== undefined && member !== null && member !== '' && !(Array.isArray(member) && member.length === 0)
  return (
    (!says(use) || use === 'sig') &&
    (!says(operations) || (Array.isArray(operations) && operations.includes('verify'))) &&
    (!says(alg) || alg === used)
  )
}

async function expectedOfProof(lines: readonly string[], token: string): Promise<Expected> {
  const [proof = '', another] = lines
  const jws = take(proof)
  if (jws === undefined || another !== undefined || proof.length > 4096) return 'refused'
  const { typ, jwk, crit, b64 } = jws.header
  const { jti, htm, htu, iat, ath, nonce, exp, nbf } = jws.claims
  const secret = ['d', 'p', 'q', 'dp', 'dq', 'qi', 'oth', 'k']
  if (typeof typ !== 'string' || !/^(application\/)?dpop\+jwt$/i.test(typ) || crit !== undefined || b64 === false)
    return 'refused'
  if (!isObject(jwk) || secret.some((name) => Object.hasOwn(jwk, name))) return 'refused'
  if (!isText(jti) || jti.length > 256 || htm !== 'GET' || ath !== sha256(token)) return 'refused'
  if (!isNumber(iat) || ![exp, nbf].every((date) => date === undefined || isNumber(date))) return 'refused'
  const withNonce = nonce === expand('<<nonce>>')
  if (nonce !== undefined && !withNonce) return 'refused'
  if (!withNonce && (iat > NOW + 10 || iat < NOW - 60)) return 'refused'
  try {
    if (!isForVerifying(jwk, jws.header['alg'])) return 'refused'
    const members = MEMBERS.get(jwk['kty']) ?? []
    if (!members.every((name) => typeof jwk[name] === 'string')) return 'refused'
    const alg = String(jws.header['alg'])
    const key = await importJWK(Object.fromEntries(members.map((name) => [name, jwk[name]])) as JWK, alg)
    await jwtVerify(proof, key, {
      algorithms: ['ES256', 'EdDSA', 'Ed25519', 'PS256', 'RS256'],
      currentDate: new Date(NOW * 1000),
      clockTolerance: 10
    })
    // Of the key in its one spelling: another text for the same key is the same key.
    if ((await calculateJwkThumbprint(await exportJWK(key))) !== JKT) return 'refused'
  } catch {
    return 'refused'
  }
  return typeof htu === 'string' ? expectedOfTarget(htu) : 'refused'
}

/** Another parser of URIs, which forgives more: what it does not take for the same is not the same. */
function expectedOfTarget(htu: string): Expected {
  if (/^https:\/\/api\.example\.com\/items(?:[?#]|$)/.test(htu)) return 'accepted'
  if (!URL.canParse(htu)) return 'refused'
  const { origin, pathname } = new URL(htu)
  const unreserved = pathname.replace(/%(2[de]|3\d|[46][1-9a-f]|[57][0-9a]|5f|7e)/gi, decodeURIComponent)
  return origin === RESOURCE && unreserved === '/items' ? 'either' : 'refused'
}

// ---- certificates

const PARSERS = { clientCert: undefined, urlEncodedPem, forwardedClientCert }

/** One line a field, read by each of the three parsers, beside a token that is bound to a certificate. */
export function certificate(): Target {
  const der = Buffer.from(CERTIFICATE, 'base64')
  const token = expand(`<<token {"cnf":{"x5t#S256":"${sha256(der)}"}}>>`)
  const servers = Object.entries(PARSERS).map(([name, parse]) => {
    const clientCertificate = { trustedProxies: ['10.0.0.7'], field: 'x', ...(parse && { parse }) }
    return { name: name as keyof typeof PARSERS, server: api({ clientCertificate }) }
  })
  return {
    run: async (input) => {
      const fields = { authorization: [`Bearer ${token}`], x: linesOf(input) }
      const request = requestWith(fields, { peerAddress: '10.0.0.7' })
      const accepting: string[] = []
      for (const { name, server } of servers) {
        const verdict = await verdictOf(() => server.authorize(request, scope('read')), REFUSALS)
        const is = linesOf(input).length === 1 && input.length <= 32_768 && isCertificate(READERS[name](input), der)
        requireExpected(verdict, is ? 'accepted' : 'refused')
        if (verdict === 'accepted') accepting.push(name)
      }
      return accepting.length === 0 ? 'certificate_binding' : `accepted by ${accepting.join(', ')}`
    },
    close: async () => {
      for (const { server } of servers) await server.close()
    }
  }
}

/** Base64 of the certificate, in the reading of a decoder that drops what it does not know, and its one alphabet. */
function isCertificate(base64: string | undefined, der: Buffer): boolean {
  return base64 !== undefined && /^[A-Za-z0-9+/]*=*$/.test(base64) && Buffer.from(base64, 'base64').equals(der)
}

/** Each form a second time: base64 where the value is one certificate and nothing besides, as its document says. */
const READERS: Readonly<Record<keyof typeof PARSERS, (value: string) => string | undefined>> = {
  clientCert: (value) => {
    const text = value.trim()
    const inner = text.length > 1 && text.startsWith(':') && text.endsWith(':') ? text.slice(1, -1) : undefined
    // RFC 8941 §4.2.7: padding is forgiven where it lacks, and nothing else is.
    return inner !== undefined && [inner, inner.replace(/=+$/, '')].includes(standard(inner)) ? inner : undefined
  },
  urlEncodedPem: (value) => {
    try {
      return pemBody(decodeURIComponent(value))
    } catch {
      return undefined
    }
  },
  forwardedClientCert: (value) => {
    const certs = readPairs(value)?.filter(([key]) => key.toLowerCase() === 'cert')
    return certs?.length === 1 ? READERS.urlEncodedPem(certs[0]?.[1] ?? '') : undefined
  }
}

function standard(base64: string): string {
  const whole = Buffer.from(base64, 'base64').toString('base64')
  return base64.endsWith('=') ? whole : whole.replace(/=+$/, '')
}

function pemBody(pem: string): string | undefined {
  const [begin, end] = ['-----BEGIN CERTIFICATE-----', '-----END CERTIFICATE-----']
  const text = pem.trim()
  if (!text.startsWith(begin) || !text.endsWith(end)) return undefined
  const body = text.slice(begin.length, -end.length).replace(/\s/g, '')
  return body === '' ? undefined : body
}

/** `key=value;key="value"`, character by character; undefined for anything else, a second element too. */
function readPairs(value: string): readonly (readonly [string, string])[] | undefined {
  const pairs: [string, string][] = []
  let rest = value
  while (rest !== '') {
    const at = rest.indexOf('=')
    const key = rest.slice(0, at).trimStart()
    if (at < 0 || !/^[A-Za-z]+$/.test(key)) return undefined
    rest = rest.slice(at + 1)
    const quoted = rest.startsWith('"')
    let end = quoted ? 1 : 0
    while (end < rest.length && (quoted ? rest[end] !== '"' : !/[",;\s]/.test(rest[end] as string)))
      end += quoted && rest[end] === '\\' ? 2 : 1
    if (quoted && end >= rest.length) return undefined
    pairs.push([key, quoted ? rest.slice(1, end) : rest.slice(0, end)])
    rest = rest.slice(end + (quoted ? 1 : 0)).trimStart()
    if (rest !== '' && !rest.startsWith(';')) return undefined
    rest = rest.slice(1)
  }
  return pairs
}
