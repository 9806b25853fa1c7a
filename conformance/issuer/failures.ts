/**
 * The answers of an endpoint that fails: late, redirected, packed into a bomb, without an end, or about another issuer.
 *
 * Tests: `test/conformance/issuer.test.ts`.
 */
import type { ServerResponse } from 'node:http'
import { constants, crc32, deflateRawSync } from 'node:zlib'
import type { SuiteFailure } from '../check.js'

/** Bytes of the document that a `bomb` becomes. */
const BOMB_BYTES = 32 * 1024 * 1024
/** Bytes after which an `endless` answer ends, because the API has read enough to be sure that it has no limit. */
const ENDLESS_BYTES = 64 * 1024 * 1024
/** Milliseconds by which a `late` answer comes later: requests at once have all arrived by then, and no API gives up so soon. */
const LATE = 500
const CHUNK = Buffer.alloc(64 * 1024, ' ')

/** The media type and the body of a good answer. */
export type Answer = readonly [type: string, body: string]

/** How an endpoint fails, and what it would answer. */
export interface FailedAnswer {
  readonly failure: Exclude<SuiteFailure, 'silence' | 'lie'>
  readonly answer: Answer
  /** Packs a body: see {@link createBomb}. */
  readonly bomb: (body: string) => Buffer
  /** Told how many bytes of an endless answer the connection has taken. */
  readonly took: (bytes: number) => void
}

export function answerFailure(response: ServerResponse, { failure, answer, bomb, took }: FailedAnswer): void {
  const [type, body] = answer
  if (failure === 'reset') response.socket?.destroy()
  else if (failure === 'late') setTimeout(() => response.writeHead(200, { 'Content-Type': type }).end(body), LATE)
  else if (failure === 'garbage') response.writeHead(200, { 'Content-Type': 'text/html' }).end('<!doctype html>')
  else if (failure === 'redirect') response.writeHead(302, { Location: '/canary/redirect' }).end()
  else if (failure === 'empty') response.writeHead(200, { 'Content-Type': type }).end('{"keys":[]}')
  else if (failure === 'bomb')
    response.writeHead(200, { 'Content-Type': type, 'Content-Encoding': 'gzip' }).end(bomb(body))
  else if (failure === 'endless') {
    response.writeHead(200, { 'Content-Type': type })
    answerEndlessly(response, took)
  } else response.writeHead(failure.status, { 'Content-Type': 'application/json', ...failure.fields }).end('{}')
}

/**
 * A function that makes a gzip file (RFC 1952) of 32 MiB of white space and a body: an API without a limit reads a good document.
 * The white space is packed here, once, because packing takes longer than some APIs wait.
 */
export function createBomb(): (body: string) => Buffer {
  const spaces = Buffer.alloc(BOMB_BYTES, ' ')
  const padding = deflateRawSync(spaces, { finishFlush: constants.Z_FULL_FLUSH })
  const crc = crc32(spaces)
  return (body) => {
    const end = Buffer.alloc(8)
    end.writeUInt32LE(crc32(body, crc), 0)
    end.writeUInt32LE(BOMB_BYTES + Buffer.byteLength(body), 4)
    return Buffer.concat([Buffer.from('1f8b08000000000000ff', 'hex'), padding, deflateRawSync(body), end])
  }
}

/** Writes white space as fast as the API reads it, until it disconnects. */
function answerEndlessly(response: ServerResponse, took: (bytes: number) => void): void {
  let sent = 0
  const write = (): void => {
    while (sent < ENDLESS_BYTES && !response.destroyed) {
      sent += CHUNK.length
      took(sent)
      if (!response.write(CHUNK)) return
    }
    response.end()
  }
  response.on('drain', write)
  write()
}
