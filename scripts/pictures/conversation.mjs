// @ts-check
/**
 * The conversation of the picture at the top of README.md, as a client has it: with examples/express.mjs and the `issuer`
 * command, each a process of its own on the built package. The picture shows only what was sent and received here.
 */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { request } from 'node:http'
import { fileURLToPath } from 'node:url'
import { freePort } from '../../test/support/ports.mjs'

/** The origins of the picture: those of README.md. They replace the free ports of a run. */
const API = 'http://localhost:3000'
const SERVER = 'http://127.0.0.1:4010'
const SCOPE = 'orders:read'

/**
 * @typedef {readonly (readonly [kind: 'plain' | 'key', text: string])[]} Line a line in parts; a `key` part is what the
 *   client goes on with
 * @typedef {object} Exchange
 * @property {string} title
 * @property {string} standard
 * @property {'api' | 'server'} to
 * @property {readonly Line[]} sent
 * @property {number} status
 * @property {string} reason the words behind the status
 * @property {readonly Line[]} received
 * @typedef {object} Answer
 * @property {number} status
 * @property {string} reason
 * @property {ReadonlyMap<string, string>} fields by their names as they came
 * @property {Record<string, any>} body
 */

/** @returns {Promise<Exchange[]>} */
export async function converse() {
  const port = await freePort()
  const api = `http://localhost:${port}`
  const issuer = start('dist/src/cli/main.js', ['issuer', '--resource', api, '--scope', SCOPE, '--port', '0'])
  try {
    const [, tokenEndpoint = '', credentials = ''] = await issuer.says(/curl -s (\S+) -u (\S+)/)
    const server = new URL(tokenEndpoint).origin
    const express = start('examples/express.mjs', [], { ISSUER: server, RESOURCE: api, PORT: String(port) })
    try {
      await express.says(/Express: /)
      const exchanges = await talk(`${api}/orders`, credentials)
      return JSON.parse(JSON.stringify(exchanges).replaceAll(api, API).replaceAll(server, SERVER))
    } finally {
      await express.end()
    }
  } finally {
    await issuer.end()
  }
}

/**
 * What each answer says is where the next request goes.
 *
 * @param {string} url a protected URL
 * @param {string} credentials of the client, as `curl -u` takes them
 * @returns {Promise<Exchange[]>}
 */
async function talk(url, credentials) {
  const refused = await send('GET', url)
  const [challengeName, challenge] = field(refused, 'WWW-Authenticate')
  const [, before = '', metadataUrl = '', after = ''] = /^(.* )?resource_metadata="([^"]+)"(.*)$/.exec(challenge) ?? []
  const resource = await send('GET', metadataUrl)
  const [issuer] = member(resource, 'authorization_servers')
  const serverUrl = `${issuer}/.well-known/oauth-authorization-server`
  const server = await send('GET', serverUrl)
  const tokenUrl = member(server, 'token_endpoint')
  const form = { grant_type: 'client_credentials', scope: SCOPE, resource: member(resource, 'resource') }
  const granted = await send('POST', tokenUrl, { Authorization: `Basic ${btoa(credentials)}` }, form)
  const token = member(granted, 'access_token')
  const accepted = await send('GET', url, { Authorization: `Bearer ${token}` })
  // The header of a JWT begins with {" in Base64url; nothing else of a token is shown.
  const short = `${token.slice(0, 3)}…`
  return [
    {
      title: 'The request has no token',
      standard: 'RFC 6750, RFC 9728',
      to: 'api',
      sent: [requestLine('GET', url)],
      ...statusOf(refused),
      received: [
        [['plain', `${challengeName}: ${before.trim()}`]],
        [
          ['plain', '  resource_metadata="'],
          ['key', metadataUrl],
          ['plain', `"${after}`]
        ]
      ]
    },
    {
      title: 'Which server issues tokens for this API?',
      standard: 'RFC 9728',
      to: 'api',
      sent: [requestLine('GET', metadataUrl)],
      ...statusOf(resource),
      received: [json('authorization_servers', issuer, ['[', ']'])]
    },
    {
      title: 'Where is its token endpoint?',
      standard: 'RFC 8414',
      to: 'server',
      sent: [requestLine('GET', serverUrl)],
      ...statusOf(server),
      received: [json('token_endpoint', tokenUrl)]
    },
    {
      title: 'The client gets a token',
      standard: 'RFC 6749, RFC 8707',
      to: 'server',
      sent: [
        requestLine('POST', tokenUrl),
        [['plain', `grant_type=${form.grant_type}&scope=${form.scope}`]],
        [['plain', `&resource=${form.resource}`]]
      ],
      ...statusOf(granted),
      received: [json('access_token', short)]
    },
    {
      title: 'The API verifies the token',
      standard: 'RFC 9068',
      to: 'api',
      sent: [
        requestLine('GET', url),
        [
          ['plain', 'Authorization: Bearer '],
          ['key', short]
        ]
      ],
      ...statusOf(accepted),
      received: [[['plain', JSON.stringify(accepted.body)]]]
    }
  ]
}

/** @param {Answer} answer */
function statusOf({ status, reason }) {
  return { status, reason }
}

/** @param {string} method @param {string} url @returns {Line} */
function requestLine(method, url) {
  return [['plain', `${method} ${new URL(url).pathname}`]]
}

/** @param {string} name @param {string} value @param {readonly [string, string]} around @returns {Line} */
function json(name, value, [open, close] = ['', '']) {
  return [
    ['plain', `"${name}": ${open}"`],
    ['key', value],
    ['plain', `"${close}`]
  ]
}

/** @param {Answer} answer @param {string} name @returns {[name: string, value: string]} the name as it came */
function field({ fields, status }, name) {
  const found = [...fields].find(([one]) => one.toLowerCase() === name.toLowerCase())
  if (found === undefined) throw new Error(`Expected an answer with the field ${name}, and got ${status} without it.`)
  return found
}

/** @param {Answer} answer @param {string} name */
function member({ body, status }, name) {
  if (body[name] === undefined)
    throw new Error(
      `Expected an answer with the member ${name}, and got ${status} with ${Object.keys(body).join(', ')}.`
    )
  return body[name]
}

/**
 * By node:http, which keeps the names of fields as they came.
 *
 * @param {string} method
 * @param {string} url
 * @param {Record<string, string>} [headers]
 * @param {Record<string, string>} [form]
 * @returns {Promise<Answer>}
 */
async function send(method, url, headers = {}, form) {
  const type = form && { 'Content-Type': 'application/x-www-form-urlencoded' }
  const sent = request(url, { method, headers: { ...headers, ...type }, agent: false })
  sent.end(form && new URLSearchParams(form).toString())
  const [answer] = /** @type {[import('node:http').IncomingMessage]} */ (await once(sent, 'response'))
  const text = (await answer.setEncoding('utf8').toArray()).join('')
  const pairs = answer.rawHeaders.flatMap((name, index, all) =>
    index % 2 === 0 ? [/** @type {[string, string]} */ ([name, all[index + 1] ?? ''])] : []
  )
  return {
    status: answer.statusCode ?? 0,
    reason: answer.statusMessage ?? '',
    fields: new Map(pairs),
    body: text === '' ? {} : JSON.parse(text)
  }
}

/** @param {string} file @param {string[]} args @param {Record<string, string>} [env] */
function start(file, args, env = {}) {
  const path = fileURLToPath(new URL(`../../${file}`, import.meta.url))
  const child = spawn(process.execPath, [path, ...args], {
    env: { PATH: process.env['PATH'], NODE_NO_WARNINGS: '1', ...env },
    stdio: ['ignore', 'pipe', 'inherit']
  })
  const ended = once(child, 'exit')
  return {
    /** Waits until the process has written this. @param {RegExp} pattern */
    async says(pattern) {
      let output = ''
      for await (const chunk of child.stdout.iterator({ destroyOnReturn: false })) {
        output += chunk
        const found = pattern.exec(output)
        if (found) return found
      }
      throw new Error(`Expected ${file} to print ${pattern}, and it printed: ${output}`)
    },
    async end() {
      child.kill('SIGTERM')
      await ended
    }
  }
}
