// @ts-check
/**
 * Requests over bare sockets, as cheap as they can be made in JavaScript: what is to be measured is the server, on the
 * other core. One request under way for each connection.
 */

import { once } from 'node:events'
import { connect } from 'node:net'
import { median } from './stats.mjs'

/** @param {string} path @param {string} [authorization] */
export const requestBytes = (path, authorization) =>
  Buffer.from(
    `GET ${path} HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: keep-alive\r\n` +
      `${authorization ? `Authorization: ${authorization}\r\n` : ''}\r\n`,
    'latin1'
  )

/**
 * How many bytes an answer has; all answers to one kind of request have the same length.
 *
 * @param {number} port
 * @param {Buffer} request
 * @returns {Promise<number>}
 */
async function measure(port, request) {
  const socket = connect(port, '127.0.0.1')
  socket.write(request)
  let text = ''
  for await (const chunk of socket) {
    text += chunk.toString('latin1')
    const end = text.indexOf('\r\n\r\n')
    if (end < 0) continue
    const length = /content-length: (\d+)/i.exec(text)?.[1]
    if (!text.startsWith('HTTP/1.1 200')) throw new Error(`the server answered ${text.slice(0, 500)}`)
    if (length === undefined) throw new Error('an answer without Content-Length')
    if (text.length >= end + 4 + Number(length)) break
  }
  socket.destroy()
  return text.length
}

/**
 * @param {number} port
 * @param {() => Buffer} next the next request
 * @param {number} length of an answer
 * @param {() => boolean} goesOn
 * @param {{ times: number[], wait: number }} record milliseconds of each request; how long to wait before the next
 */
async function connection(port, next, length, goesOn, record) {
  const socket = connect(port, '127.0.0.1')
  socket.setNoDelay(true)
  await once(socket, 'connect')
  await new Promise((resolve, reject) => {
    let received = 0
    let start = 0
    const send = () => {
      start = performance.now()
      socket.write(next())
    }
    socket.on('data', (chunk) => {
      if (received === 0 && chunk[9] !== 0x32)
        return reject(new Error(`answered ${chunk.toString('latin1').slice(0, 300)}`))
      received += chunk.length
      if (received < length) return
      received = 0
      record.times.push(performance.now() - start)
      if (!goesOn()) resolve(undefined)
      else if (record.wait > 0) setTimeout(send, record.wait)
      else send()
    })
    socket.once('error', reject)
    socket.once('close', () => reject(new Error('the server closed a connection')))
    send()
  })
  socket.removeAllListeners('close')
  socket.destroy()
}

/**
 * @param {number} port
 * @param {() => Buffer} next
 * @param {{ readonly milliseconds: number, readonly connections?: number, readonly ping?: boolean, readonly goesOn?: () => boolean }} options
 *   `ping`: one more connection asks for `/ping` every millisecond; `goesOn`: until then, if that is sooner
 */
export async function load(port, next, { milliseconds, connections = 32, ping = false, ...more }) {
  const length = await measure(port, next())
  const pingRequest = requestBytes('/ping')
  const pingLength = ping ? await measure(port, pingRequest) : 0
  const start = performance.now()
  const goesOn = () => performance.now() - start < milliseconds && more.goesOn?.() !== false
  const main = { times: /** @type {number[]} */ ([]), wait: 0 }
  const beside = { times: /** @type {number[]} */ ([]), wait: 1 }
  const lanes = Array.from({ length: connections }, () => connection(port, next, length, goesOn, main))
  if (ping) lanes.push(connection(port, () => pingRequest, pingLength, goesOn, beside))
  await Promise.all(lanes)
  const seconds = (performance.now() - start) / 1000
  main.times.sort((x, y) => x - y)
  return {
    requests: main.times.length,
    perSecond: main.times.length / seconds,
    p50: median(main.times),
    p99: main.times[Math.floor(main.times.length * 0.99)] ?? Number.NaN,
    pingP50: ping ? median(beside.times) : Number.NaN
  }
}
