/** The texts that `explain` takes a token from, and the answers to texts that have none. */
import { expect, test } from 'vitest'
import { readCredential } from '../../src/cli/explain/credential.js'

const TOKEN = 'eyJhbGciOiJFUzI1NiJ9.eyJpc3MiOiJhIn0.c2ln'
const PROOF = 'eyJ0eXAiOiJkcG9wK2p3dCJ9.eyJqdGkiOiIxIn0.cHJvb2Y'
const bearer = { token: TOKEN, scheme: 'Bearer', method: 'GET', target: '/' }

test.each([
  ['a token', TOKEN],
  ['a token with a byte order mark and line ends', `\uFEFF${TOKEN}\r\n`],
  ['a token in quotes', `"${TOKEN}"`],
  ['a scheme and a token', `Bearer  ${TOKEN}\n`],
  ['a field', `Authorization: Bearer ${TOKEN}`],
  ['a field in quotes', `'authorization: bearer ${TOKEN}'`],
  ['a member of a headers object', `headers: { "Authorization": "Bearer ${TOKEN}" }`],
  ['the answer of a token endpoint', `{"access_token":"${TOKEN}","token_type":"Bearer","expires_in":60}`]
])('reads %s', (_title, text) => {
  expect(readCredential(text)).toEqual(bearer)
})

test.each([
  ['single quotes', `curl -H 'Authorization: Bearer ${TOKEN}' https://api.example.com/orders?page=2`],
  ['double quotes', `curl --header "Authorization: Bearer ${TOKEN}" "https://api.example.com/orders?page=2"`],
  ['no space after -H', `curl -H'Authorization: Bearer ${TOKEN}' https://api.example.com/orders?page=2`],
  ['--header=', `curl --header='authorization: Bearer ${TOKEN}' https://api.example.com/orders?page=2`],
  [
    'lines that end with a backslash',
    `curl \\\n  -H 'Origin: https://app.example.com' \\\r\n  -H 'Authorization: Bearer ${TOKEN}' \\\n  https://api.example.com/orders?page=2`
  ],
  [
    'lines of cmd and PowerShell',
    `curl.exe ^\r\n -H "Authorization: Bearer ${TOKEN}" \`\n https://api.example.com/orders?page=2`
  ],
  ['a prompt', `$ curl https://api.example.com/orders?page=2 -H 'Authorization: Bearer ${TOKEN}'`],
  ['--oauth2-bearer', `curl --oauth2-bearer ${TOKEN} https://api.example.com/orders?page=2`]
])('reads token and URL of a curl command with %s', (_title, text) => {
  expect(readCredential(text)).toEqual({ ...bearer, target: '/orders?page=2' })
})

test.each([
  [`-X DELETE -H 'Authorization: Bearer ${TOKEN}'`, 'DELETE'],
  [`--request put -H 'Authorization: Bearer ${TOKEN}'`, 'PUT'],
  [`-H 'Authorization: Bearer ${TOKEN}' -d '{"see":"https://other.example/x"}'`, 'POST']
])('reads the method of curl %s', (options, method) => {
  expect(readCredential(`curl ${options} https://api.example.com/orders`)).toEqual({
    ...bearer,
    method,
    target: '/orders'
  })
})

test('reads the DPoP proof of a curl command and of a request', () => {
  const dpop = { token: TOKEN, scheme: 'DPoP', proof: PROOF, method: 'GET', target: '/orders' }
  const curl = `curl -H 'Authorization: DPoP ${TOKEN}' -H 'DPoP: ${PROOF}' https://api.example.com/orders`
  expect(readCredential(curl)).toEqual(dpop)
  const request = `GET /orders HTTP/1.1\r\nHost: api.example.com\r\nAuthorization: DPoP ${TOKEN}\r\nDPoP: ${PROOF}\r\n\r\n`
  expect(readCredential(request)).toEqual(dpop)
})

test.each([
  ['nothing', ' \n', 'There is no token: the input is empty.'],
  ['a scheme alone', 'Authorization: Bearer ', 'The Authorization field has no access token.'],
  ['Basic', 'Authorization: Basic Y2xpZW50OnNlY3JldA==', 'The Authorization field has no access token.'],
  ['a field without a scheme', `Authorization: ${TOKEN}`, 'The Authorization field has no access token.'],
  ['two tokens', `Authorization: Bearer ${TOKEN}\nAuthorization: Bearer other`, 'more than one access token'],
  ['two proofs', `Authorization: DPoP ${TOKEN}\nDPoP: ${PROOF}\nDPoP: a.b.c`, 'more than one DPoP field'],
  ['a variable', 'curl -H "Authorization: Bearer $TOKEN" https://api.example.com', 'There is a placeholder'],
  ['a template', 'Authorization: Bearer {{access_token}}', 'There is a placeholder'],
  ['a curl command without a token', 'curl https://api.example.com/orders', 'The curl command sends no token'],
  ['a token with a line break', `${TOKEN.slice(0, 20)}\n${TOKEN.slice(20)}`, 'has a line break in it'],
  ['two words', 'no token', 'more than one word'],
  [
    'a private key',
    '-----BEGIN PRIVATE KEY-----\nMIIE\n-----END PRIVATE KEY-----\n',
    'This is a key or a certificate (PEM)'
  ],
  ['a placeholder', 'Bearer <access-token>', 'There is a placeholder'],
  ['a page', '<!DOCTYPE html>\n<html>', 'it has characters that no token has'],
  ['bytes', '\u0000\u0001\uFFFD', 'it has characters that no token has (RFC 6750 §2.1)'],
  ['JSON of something else', '{"id_token":"a.b.c"}', 'JSON without an `access_token`'],
  ['very long text', 'x'.repeat(300_000), 'The input has 300000 characters, and at most 262144 are read.']
])('refuses %s with a sentence that does not repeat it', (_title, text, words) => {
  const attempt = (): unknown => readCredential(text)
  expect(attempt).toThrow(words)
  expect(attempt).not.toThrow(TOKEN.slice(0, 19))
})

test('reads hostile text in linear time', () => {
  for (const text of [
    "-H'".repeat(80_000),
    'authorization:'.repeat(18_000),
    'bearer '.repeat(37_000),
    '-d "'.repeat(60_000)
  ])
    expect(() => readCredential(text)).toThrow()
  expect(() => readCredential(`Authorization: Bearer ${TOKEN} ${"-H '".repeat(60_000)}`)).not.toThrow()
})

test('reads a DPoP field that is followed by 250,000 spaces: no expression takes quadratic time', () => {
  const text = `curl -H 'Authorization: Bearer ${TOKEN}' https://api.example.com/orders -H 'DPoP:${' '.repeat(250_000)}!'`
  expect(readCredential(text)).toEqual({ ...bearer, target: '/orders' })
})
