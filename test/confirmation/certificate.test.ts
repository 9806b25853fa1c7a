/** A client certificate as servers and proxies tell it: what is read, and all that is not read. */
import { X509Certificate } from 'node:crypto'
import fc from 'fast-check'
import { beforeEach, describe, expect, onTestFinished, test, vi } from 'vitest'
import {
  type CertificateSource,
  clientCert,
  createReadCertificate,
  forwardedClientCert,
  isBoundTo,
  readAddresses,
  urlEncodedPem
} from '../../src/confirmation/certificate.js'
import type { ResourceRequest } from '../../src/types.js'
import { createCertificateAuthority, createSelfSignedCertificate } from '../support/certificates.js'
import { get } from '../support/refusals.js'

const authority = createCertificateAuthority()
const pem = authority.issue({ commonName: 'client', client: true }).cert
const other = createSelfSignedCertificate('other').cert
const derOf = (text: string): Buffer => new X509Certificate(text).raw
const der = derOf(pem)
const base64 = (bytes: Uint8Array): string => Buffer.from(bytes).toString('base64')

/** What a parser makes of a field: DER, or undefined where it is none; a proxy’s field may also make it throw. */
function parsed(parse: (value: string) => Uint8Array | undefined, value: string): Uint8Array | undefined {
  try {
    return parse(value)
  } catch {
    return undefined
  }
}

describe('MTL-06 (RFC 9440 §2.2, RFC 8941 §3.3.5): Client-Cert', () => {
  test('MTL-06 (RFC 9440 §2.2): decodes a byte sequence to the DER of the certificate', () => {
    expect(clientCert(`:${base64(der)}:`)).toEqual(der)
  })

  /** DER of so many bytes more than a multiple of three. */
  function derWithRest(rest: number): Buffer {
    for (let name = 'x'; ; name += 'x') {
      const bytes = derOf(createSelfSignedCertificate(name).cert)
      if (bytes.length % 3 === rest) return bytes
    }
  }

  test.each([0, 1, 2])('MTL-06 (RFC 8941 §4.2.7): accepts missing padding, with %i bytes left over', (rest) => {
    const bytes = derWithRest(rest)
    expect(clientCert(`:${base64(bytes)}:`)).toEqual(bytes)
    expect(clientCert(`:${base64(bytes).replace(/=+$/, '')}:`)).toEqual(bytes)
  })

  test('MTL-06 (RFC 8941 §4.2): ignores spaces around the byte sequence', () => {
    expect(clientCert(`  :${base64(der)}: `)).toEqual(der)
  })

  test('MTL-06 (RFC 4648 §4): refuses a lone trailing character, which decodes to nothing', () => {
    const bytes = derWithRest(0)
    expect(Buffer.from(`${base64(bytes)}A`, 'base64')).toEqual(bytes)
    for (const more of ['A', 'A=', 'A==', 'A==='])
      expect(parsed(clientCert, `:${base64(bytes)}${more}:`)).toBeUndefined()
  })

  const value = base64(der)
  const rejected: readonly (readonly [string, string])[] = [
    ['nothing', ''],
    ['an empty byte sequence', '::'],
    ['one colon', ':'],
    ['no colons', value],
    ['no colon at the end', `:${value}`],
    ['no colon at the start', `${value}:`],
    ['a list of two', `:${value}:, :${value}:`],
    ['a list of one and nothing', `:${value}:,`],
    ['an inner list', `(:${value}:)`],
    ['a parameter', `:${value}:;a=1`],
    ['a quoted string', `"${value}"`],
    ['a token', 'abc'],
    ['the alphabet of base64url', `:${Buffer.from(der).toString('base64url').replace(/^./, '-')}:`],
    ['a blank within', `:${value.slice(0, 40)} ${value.slice(40)}:`],
    ['a line break within', `:${value.slice(0, 40)}\n${value.slice(40)}:`],
    ['padding within', `:${value.slice(0, 38)}==${value.slice(40)}:`],
    ['three characters of padding', `:${value.replace(/=*$/, '===')}:`],
    ['one character too few for base64', `:${value.replace(/=+$/, '').slice(0, 401)}:`],
    ['no certificate', `:${base64(Buffer.from('hello'))}:`],
    ['the certificate less its last byte', `:${base64(der.subarray(0, -1))}:`],
    ['a byte after the certificate', `:${base64(Buffer.concat([der, Buffer.from([0])]))}:`],
    ['two certificates in one', `:${base64(Buffer.concat([der, derOf(other)]))}:`],
    ['a key instead', `:${base64(new X509Certificate(pem).publicKey.export({ type: 'spki', format: 'der' }))}:`],
    ['PEM inside of base64', `:${base64(Buffer.from(pem))}:`],
    ['PEM', pem],
    ['percent-encoded PEM', encodeURIComponent(pem)]
  ]
  for (const [what, field] of rejected) {
    test(`MTL-06 (RFC 9440 §2.2): finds no certificate in ${what}`, () => {
      expect(parsed(clientCert, field)).toBeUndefined()
    })
  }
})

describe('MTL-09 (RFC 9440 §3.3): urlEncodedPem', () => {
  const nginx = encodeURIComponent(pem)
  /** AWS load balancers keep `+`, `=` and `/` as they are. */
  const aws = nginx.replaceAll('%2B', '+').replaceAll('%3D', '=').replaceAll('%2F', '/')

  const accepted: readonly (readonly [string, string])[] = [
    ['as nginx writes $ssl_client_escaped_cert', nginx],
    ['with + = / left as they are', aws],
    ['with lines that end in CR LF', encodeURIComponent(pem.replaceAll('\n', '\r\n'))],
    ['without the last line break', encodeURIComponent(pem.trimEnd())],
    ['on one line', encodeURIComponent(pem.replaceAll('\n', ' ').replace('BEGIN CERTIFICATE', 'BEGIN CERTIFICATE'))],
    ['with a blank line before it', encodeURIComponent(`\n ${pem}`)],
    ['with lower-case triplets', nginx.replace(/%../g, (triplet) => triplet.toLowerCase())]
  ]
  for (const [how, value] of accepted) {
    test(`MTL-09: reads one certificate, ${how}`, () => {
      expect(urlEncodedPem(value)).toEqual(der)
    })
  }

  const rejected: readonly (readonly [string, string])[] = [
    ['nothing', ''],
    ['(null), as Apache writes none', '(null)'],
    ['a chain of two certificates', encodeURIComponent(pem + authority.cert)],
    ['the same certificate twice', encodeURIComponent(pem + pem)],
    ['two field lines that became one', `${nginx}, ${nginx}`],
    ['words before it', encodeURIComponent(`Bag Attributes\n${pem}`)],
    ['a letter before it', encodeURIComponent(`x${pem}`)],
    ['words after it', encodeURIComponent(`${pem}x`)],
    ['a private key', encodeURIComponent(createSelfSignedCertificate('x').key)],
    ['a key after it', encodeURIComponent(pem + createSelfSignedCertificate('x').key)],
    ['no end', encodeURIComponent(pem.replace(/-----END.*/s, ''))],
    ['no beginning', encodeURIComponent(pem.replace(/-----BEGIN.*?-----\n/, ''))],
    ['nothing between', encodeURIComponent('-----BEGIN CERTIFICATE-----\n\n-----END CERTIFICATE-----')],
    ['the certificate less its last bytes', encodeURIComponent(pem.replace(/.{8}(?=\n-----END)/, ''))],
    ['a percent sign without digits', `${nginx}%`],
    ['a broken triplet', nginx.replace('%20', '%2')],
    ['no character of UTF-8', nginx.replace('%20', '%ff')],
    ['encoded twice', encodeURIComponent(nginx)],
    ['DER in base64', base64(der)]
  ]
  for (const [what, value] of rejected) {
    test(`MTL-09 (RFC 9440 §3.3): finds no certificate: ${what}`, () => {
      expect(parsed(urlEncodedPem, value)).toBeUndefined()
    })
  }
})

describe('MTL-05 (RFC 9440 §4): forwardedClientCert, as Envoy writes it', () => {
  const cert = (text: string): string => `"${encodeURIComponent(text)}"`
  const hash = new X509Certificate(pem).fingerprint256.replaceAll(':', '').toLowerCase()

  const accepted: readonly (readonly [string, string])[] = [
    ['alone', `Cert=${cert(pem)}`],
    ['without quotes', `Cert=${encodeURIComponent(pem)}`],
    ['a chain alone: its first', `Hash=${hash};Chain=${cert(pem + authority.cert)}`],
    ['among others', `By=spiffe://a.example/api;Hash=${hash};Cert=${cert(pem)};Subject="CN=client";URI=`],
    ['with its chain', `Hash=${hash};Cert=${cert(pem)};Chain=${cert(pem + authority.cert)}`],
    ['after its chain', `Chain=${cert(pem + authority.cert)};Cert=${cert(pem)}`],
    ['after a subject with a comma in quotes', `Subject="CN=a,O=b";Cert=${cert(pem)}`],
    ['after a subject with a semicolon in quotes', `Subject="CN=a;O=b";Cert=${cert(pem)}`],
    ['after a subject with escaped quotes', `Subject="CN=\\"a, b\\";O=\\\\";Cert=${cert(pem)}`],
    ['after what looks like one, in quotes', `Subject="CN=x;Cert=abc";Cert=${cert(pem)}`],
    ['under a key in lower case', `hash=${hash};cert=${cert(pem)}`]
  ]
  for (const [how, value] of accepted) {
    test(`MTL-05: reads the certificate of a single element: ${how}`, () => {
      expect(forwardedClientCert(value)).toEqual(der)
    })
  }

  const rejected: readonly (readonly [string, string])[] = [
    ['nothing', ''],
    ['an element without Cert', `By=spiffe://a.example/api;Hash=${hash};Subject="CN=client"`],
    ['two elements', `Cert=${cert(other)},Cert=${cert(pem)}`],
    ['two elements with blanks', `Hash=${hash};Cert=${cert(pem)} , By=spiffe://a.example`],
    ['two keys Cert', `Cert=${cert(pem)};Cert=${cert(pem)}`],
    ['two keys Cert, differently written', `Cert=${cert(pem)};cert=${cert(other)}`],
    ['an empty Cert', 'Cert=""'],
    ['a Cert of two certificates', `Cert=${cert(pem + authority.cert)}`],
    ['a broken triplet', 'Cert="%zz"'],
    ['a Cert inside of quotes only', `Subject="a;Cert=${encodeURIComponent(pem)}"`],
    ['another key that ends alike', `XCert=${cert(pem)}`]
  ]
  for (const [what, value] of rejected) {
    test(`MTL-05 (RFC 9440 §4): finds no certificate: ${what}`, () => {
      expect(parsed(forwardedClientCert, value)).toBeUndefined()
    })
  }

  // A proxy that appends puts its element after whatever the client sent.
  const appended = `,By=spiffe://a.example;Hash=${hash};Cert=${cert(pem)}`
  const forged: readonly (readonly [string, string])[] = [
    ['a whole element', `Cert=${cert(other)}`],
    ['a quote that is not closed', `Cert=${cert(other)};x="`],
    ['a quote that is not closed, and a backslash', `Cert=${cert(other)};x="\\`],
    ['a quote with its own comma', `Cert=${cert(other)};x=",`],
    ['quotes within a value', `Cert=${cert(other)};x=a"b`],
    ['quotes after a value', `Cert=${cert(other)}"`]
  ]
  for (const [what, value] of forged) {
    test(`MTL-05 MTL-07 (RFC 9440 §4): ignores text that a client puts before the proxy’s element: ${what}`, () => {
      expect(parsed(forwardedClientCert, value + appended)).toBeUndefined()
    })
  }

  test('MTL-05 MTL-07: never reads another certificate because of text that a client puts before the proxy’s element', () => {
    const pieces = [
      `Cert=${cert(other)}`,
      `"${encodeURIComponent(other)}"`,
      'Cert=',
      'x=',
      '"',
      '\\',
      ';',
      ',',
      ' ',
      'a'
    ]
    const subject = 'Subject="CN=a\\",Cert=b;\\"";'
    fc.assert(
      fc.property(fc.array(fc.constantFrom(...pieces), { maxLength: 8 }), fc.boolean(), (client, named) => {
        const value = `${client.join('')},By=a;${named ? subject : ''}Cert=${cert(pem)}`
        expect(parsed(forwardedClientCert, value)).toBeUndefined()
      }),
      { numRuns: 3000 }
    )
  })

  test('reads a value of quotes, backslashes or spaces once, not again from each character', { timeout: 5000 }, () => {
    for (const piece of ['"\\', '\\"', '"', '";', ',"', ' ']) {
      for (const [before, after] of [
        ['', ''],
        ['Cert=', '"'],
        ['Cert="', ''],
        ['Cert=""', '"']
      ])
        expect(parsed(forwardedClientCert, before + piece.repeat(100_000) + after)).toBeUndefined()
    }
  })
})

test.each([
  ['clientCert', clientCert, ['', ':', 'x', base64(der)]],
  ['urlEncodedPem', urlEncodedPem, ['', 'x', base64(der)]],
  ['forwardedClientCert', forwardedClientCert, ['', 'x', 'By=a', 'Cert=x', 'Cert="', `${'By=a;'.repeat(2)}"`]]
])('%s returns undefined and does not throw for a value of any other form', (_, parse, values) => {
  for (const value of values) expect(parse(value), value).toBeUndefined()
})

describe('isBoundTo', () => {
  const thumbprint = 'A4DtL2JmUMhAsvJj5tKyn64SqzmuXbMrJa0n761y5v0'

  test('MTL-01 (RFC 8705 §3.1): the thumbprint is the SHA-256 of the DER, in base64url without padding', () => {
    expect(isBoundTo(RFC8705_DER, thumbprint)).toBe(true)
    expect(isBoundTo(der, thumbprint)).toBe(false)
    expect(isBoundTo(undefined, thumbprint)).toBe(false)
  })

  test('MTL-01 (RFC 8705 §3.1): only exactly this text is the thumbprint', () => {
    const hex = Buffer.from(thumbprint, 'base64url').toString('hex')
    const unfit: unknown[] = [
      `${thumbprint}=`,
      thumbprint.slice(0, -1),
      `${thumbprint.slice(0, -1)}1`,
      thumbprint.toLowerCase(),
      ` ${thumbprint}`,
      Buffer.from(thumbprint, 'base64url').toString('base64'),
      hex,
      hex.toUpperCase(),
      '',
      null,
      1,
      true,
      [thumbprint],
      { value: thumbprint }
    ]
    for (const one of unfit) expect(isBoundTo(RFC8705_DER, one), JSON.stringify(one)).toBe(false)
  })
})

/** RFC 8705 appendix A, figure 6. */
const RFC8705_DER = Buffer.from(
  `MIIBBjCBrAIBAjAKBggqhkjOPQQDAjAPMQ0wCwYDVQQDDARtdGxzMB4XDTE4MTAx
ODEyMzcwOVoXDTIyMDUwMjEyMzcwOVowDzENMAsGA1UEAwwEbXRsczBZMBMGByqG
SM49AgEGCCqGSM49AwEHA0IABNcnyxwqV6hY8QnhxxzFQ03C7HKW9OylMbnQZjjJ
/Au08/coZwxS7LfA4vOLS9WuneIXhbGGWvsDSb0tH6IxLm8wCgYIKoZIzj0EAwID
SQAwRgIhAP0RC1E+vwJD/D1AGHGzuri+hlV/PpQEKTWUVeORWz83AiEA5x2eXZOV
bUlJSGQgjwD5vaUaKlLR50Q2DmFfQj1L+SY=`,
  'base64'
)

describe('readAddresses', () => {
  const contains = (list: readonly string[], address: string): boolean => {
    const read = createReadCertificate({
      field: 'x',
      parse: () => der,
      trustedProxies: readAddresses(list)
    })
    return read(behind(address, { x: 'x' })) !== undefined
  }

  const rows: readonly (readonly [readonly string[], yes: readonly string[], no: readonly string[]])[] = [
    [['10.0.0.7'], ['10.0.0.7', '::ffff:10.0.0.7', '::FFFF:10.0.0.7'], ['10.0.0.8', '10.0.0.70', '::ffff:10.0.0.8']],
    [['::1'], ['::1', '0:0:0:0:0:0:0:1'], ['127.0.0.1', '::ffff:127.0.0.1', '::2']],
    [['127.0.0.0/8'], ['127.0.0.1', '127.255.0.9', '::ffff:127.0.0.1'], ['126.0.0.1', '128.0.0.1', '::1']],
    [['10.1.2.3/16'], ['10.1.0.0', '10.1.255.255'], ['10.2.0.0']],
    [['10.1.2.3/32'], ['10.1.2.3'], ['10.1.2.2']],
    [['2001:db8::/32'], ['2001:db8::1', '2001:DB8:1::1'], ['2001:db9::1', '1.2.3.4']],
    [['2001:db8::7/128'], ['2001:db8::7'], ['2001:db8::8']],
    [['::ffff:10.0.0.7'], ['10.0.0.7', '::ffff:10.0.0.7'], ['10.0.0.8']],
    [['110.0.0.7'], ['::ffff:110.0.0.7'], ['1::ffff:10.0.0.7']],
    [['fe80::/10'], ['fe80::1%eth0', 'fe80::1'], ['fec0::1%eth0']],
    [
      ['10.0.0.1', '192.168.0.0/24'],
      ['10.0.0.1', '192.168.0.200'],
      ['192.168.1.1', '10.0.0.2']
    ]
  ]
  for (const [list, yes, no] of rows) {
    test(`MTL-07 (RFC 9440 §4): ${list.join(' and ')} contains exactly the addresses it names`, () => {
      for (const address of yes) expect(contains(list, address), address).toBe(true)
      for (const address of no) expect(contains(list, address), address).toBe(false)
    })
  }

  test('MTL-07: a text that is not an address, including an empty one, is in no list', () => {
    for (const address of [undefined, '', 'localhost', 'unix:', '10.0.0.7:443', '010.0.0.7', '10.0.7', '@']) {
      expect(contains(['0.0.0.0/1', '128.0.0.0/1', '::/1', '8000::/1'], address as string), String(address)).toBe(false)
    }
  })

  test('MTL-07: throws the first entry that is neither an address nor a range', () => {
    const unfit = ['', 'proxy', '10.0.0', '10.0.0.256', '10.0.0.1/33', '::1/129', '10.0.0.1/', '10.0.0.1/-1']
    for (const one of [
      ...unfit,
      '0.0.0.0/0',
      '::/0',
      '10.0.0.1/00',
      '10.0.0.1/08',
      '10.0.0.1/a',
      '10.0.0.1/8/8',
      ' 10.0.0.1',
      '10.0.0.1/8 ',
      '[::1]',
      '10.0.0.*'
    ])
      expect(() => readAddresses(['10.0.0.1', one]), one).toThrow(new RangeError(one))
  })
})

/** A request from this address. */
function behind(
  peerAddress: string | undefined,
  fields: Readonly<Record<string, string | readonly string[]>> = {},
  certificate?: () => Uint8Array | undefined
): ResourceRequest {
  return { ...get(fields), peerAddress, ...(certificate && { certificate }) }
}

describe('createReadCertificate', () => {
  const field = `:${base64(der)}:`
  let source: CertificateSource
  let connection: CertificateSource
  beforeEach(() => {
    source = { field: 'Client-Cert', parse: clientCert, trustedProxies: readAddresses(['10.0.0.7']) }
    connection = { ...source, field: undefined }
  })

  test('MTL-05: without the option, reads the certificate of the connection and ignores the field', () => {
    const read = createReadCertificate(connection)
    expect(read(behind('10.0.0.7', { 'client-cert': field }))).toBeUndefined()
    expect(read(behind('10.0.0.7', { 'client-cert': field }, () => derOf(other)))).toEqual(derOf(other))
  })

  test('MTL-09: finds no certificate on a host that cannot or does not return one', () => {
    const read = createReadCertificate(connection)
    const nothing: unknown[] = [undefined, null, new Uint8Array(), {}, '', 'x', 1, { raw: der }]
    for (const value of nothing) expect(read(behind('::1', {}, () => value as never))).toBeUndefined()
    expect(read(behind('::1'))).toBeUndefined()
  })

  test('MTL-05: with the option, reads the field and never the connection, whose certificate is the proxy’s own', () => {
    const read = createReadCertificate(source)
    expect(read(behind('10.0.0.7', { 'client-cert': field }, () => derOf(other)))).toEqual(der)
    expect(read(behind('10.0.0.7', {}, () => derOf(other)))).toBeUndefined()
  })

  test('MTL-05 MTL-07: does not read the field if the request comes from an untrusted address', () => {
    const parse = vi.fn(() => der)
    const read = createReadCertificate({ ...source, parse })
    for (const address of [undefined, '', '10.0.0.8', '::1'])
      expect(read(behind(address, { 'client-cert': field }))).toBeUndefined()
    expect(parse).not.toHaveBeenCalled()
  })

  test('MTL-06: finds no certificate in two lines, even equal ones, or in a field that is longer than any certificate', () => {
    const parse = vi.fn(() => der)
    const read = createReadCertificate({ ...source, parse })
    expect(read(behind('10.0.0.7', { 'client-cert': [field, field] }))).toBeUndefined()
    expect(read(behind('10.0.0.7', { 'client-cert': [] }))).toBeUndefined()
    expect(read(behind('10.0.0.7', { 'client-cert': 'x'.repeat(32_769) }))).toBeUndefined()
    expect(parse).not.toHaveBeenCalled()
    expect(read(behind('10.0.0.7', { 'client-cert': 'x'.repeat(32_768) }))).toEqual(der)
  })

  test('MTL-05: finds no certificate if a custom parser throws or returns no bytes', () => {
    const rubbish: unknown[] = [undefined, null, '', 'text', 0, true, {}, [], [1], new Uint8Array(), new ArrayBuffer(8)]
    for (const value of rubbish) {
      const read = createReadCertificate({ ...source, parse: () => value as never })
      expect(read(behind('10.0.0.7', { 'client-cert': field })), String(value)).toBeUndefined()
    }
    const throwing = createReadCertificate({
      ...source,
      parse: () => {
        throw new TypeError('a bug')
      }
    })
    expect(throwing(behind('10.0.0.7', { 'client-cert': field }))).toBeUndefined()
  })

  test('ORD-02: finds no certificate if an async parser fails, and the process does not end', async () => {
    const rejections = vi.fn()
    process.on('unhandledRejection', rejections)
    onTestFinished(() => void process.off('unhandledRejection', rejections))
    const read = createReadCertificate({ ...source, parse: (async () => Promise.reject(new Error('late'))) as never })
    expect(read(behind('10.0.0.7', { 'client-cert': field }))).toBeUndefined()
    await new Promise((resolve) => setImmediate(resolve))
    expect(rejections).not.toHaveBeenCalled()
  })
})
