/**
 * A real Redis server for tests, on a free port of 127.0.0.1, that can be killed and started again; the three clients
 * that `oauth-resource-server/redis` is for; and a port behind which nobody answers.
 *
 * ```ts
 * const redis = createRedis()                    // at the top of a describe
 * const client = await redis.client('ioredis')
 * await redis.kill()                             // SIGKILL: connections break, everything is forgotten
 * await redis.start()                            // the same port, empty
 * ```
 */
import { type ChildProcess, execFileSync, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync } from 'node:fs'
import { type AddressInfo, createServer, connect as dial, type Server, type Socket } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Readable } from 'node:stream'
import { createClient } from '@redis/client'
import { Redis as Ioredis } from 'ioredis'
import { Redis as Iovalkey } from 'iovalkey'
import { afterAll, afterEach, beforeAll, beforeEach } from 'vitest'
import type { RedisClient, RedisSubscriber } from '../../integrations/redis.js'
import { freePort } from './ports.mjs'

export const CLIENTS = ['ioredis', 'iovalkey', 'node-redis'] as const
export type ClientName = (typeof CLIENTS)[number]

/** The program, by name or path. One that does not exist hides an installed server. */
const REDIS_SERVER = process.env['REDIS_SERVER'] ?? 'redis-server'

/** False where no server is installed: the tests are skipped then, which CI takes for a failure. */
export const hasRedis: boolean = (() => {
  try {
    execFileSync(REDIS_SERVER, ['--version'], { stdio: 'ignore' })
    return true
  } catch {
    console.warn('redis-server is not installed: what needs one is skipped (Debian: apt-get install redis-server)')
    return false
  }
})()

/** A client of any kind: what the adapter takes, what it takes for subscriptions, and its end. */
export type AnyClient = RedisClient & RedisSubscriber

export interface TestRedis {
  readonly port: number
  /** A connected client that tries to connect again for ever, and soon; it ends with the test. */
  client(name: ClientName, port?: number, login?: Login): Promise<AnyClient>
  /** For looking at what the server has. */
  readonly look: Ioredis
  start(): Promise<void>
  /** SIGKILL. */
  kill(): Promise<void>
}

/** How a client logs in. */
export interface Login {
  readonly username?: string
  readonly password?: string
  /** The version of the protocol; only node-redis has a choice. Default 2. */
  readonly RESP?: 2 | 3
}

/** Milliseconds between two attempts to connect. */
const RECONNECT = 20

/**
 * @param options.cluster  a cluster's only node; give it its slots yourself
 * @param options.durable  writes each command to its disk before it answers, and has its entries again after a crash
 */
export function createRedis({ cluster = false, durable = false } = {}): TestRedis {
  const directory = mkdtempSync(join(tmpdir(), 'redis-'))
  let port = 0
  let server: ChildProcess | undefined
  let look: Ioredis | undefined
  const ends: (() => unknown)[] = []

  const start = async (): Promise<void> => {
    port ||= await freePort()
    const settings = cluster
      ? ['--cluster-enabled', 'yes', '--cluster-port', String(await freePort()), '--cluster-announce-ip', '127.0.0.1']
      : []
    server = spawn(
      REDIS_SERVER,
      [
        '--port',
        String(port),
        '--bind',
        '127.0.0.1',
        '--save',
        '',
        '--appendonly',
        durable ? 'yes' : 'no',
        '--appendfsync',
        'always',
        '--daemonize',
        'no',
        ...settings
      ],
      { cwd: directory, stdio: ['ignore', 'pipe', 'ignore'] }
    )
    const out = server.stdout as Readable
    for await (const chunk of out.iterator({ destroyOnReturn: false }) as AsyncIterable<Buffer>) {
      if (String(chunk).includes('Ready to accept connections')) break
    }
    out.resume()
  }
  const kill = async (): Promise<void> => {
    if (server?.exitCode !== null || server.signalCode !== null) return
    const exit = once(server, 'exit')
    server.kill('SIGKILL')
    await exit
  }

  beforeAll(async () => {
    if (!hasRedis) return
    await start()
    look = new Ioredis({ port, retryStrategy: () => RECONNECT })
    look.on('error', () => undefined)
  })
  // A test that fails while it is gone fails alone.
  beforeEach(async () => {
    if (hasRedis && (server?.exitCode !== null || server.signalCode !== null)) await start()
  })
  // What is still in a client's queue must not reach the next test.
  afterEach(() => {
    for (const end of ends.splice(0)) end()
  })
  afterAll(async () => {
    look?.disconnect()
    await kill()
  })
  return {
    get port() {
      return port
    },
    get look() {
      return look as Ioredis
    },
    client: async (name, to = port, login = {}) => {
      const { client, end } = await connect(name, to, login)
      ends.push(end)
      return client
    },
    start,
    kill
  }
}

async function connect(
  name: ClientName,
  port: number,
  { RESP = 2, ...login }: Login
): Promise<{ client: AnyClient; end: () => unknown }> {
  if (name === 'node-redis') {
    const client = createClient({ RESP, ...login, socket: { port, host: '127.0.0.1', reconnectStrategy: RECONNECT } })
    client.on('error', () => undefined)
    await client.connect()
    return { client, end: () => client.destroy() }
  }
  const options = { port, ...login, retryStrategy: () => RECONNECT }
  const client = name === 'ioredis' ? new Ioredis(options) : new Iovalkey(options)
  client.on('error', () => undefined)
  if (client.status !== 'ready') await once(client, 'ready')
  return { client, end: () => client.disconnect() }
}

/** Passes bytes on to `port` until it is told to hold them back: a network that has gone silent, and may come back. */
export async function startSilence(port: number): Promise<{
  readonly port: number
  hold(silent: boolean): void
  close(): Promise<void>
}> {
  let silent = false
  const relay = await startRelay(
    () => port,
    (socket) => {
      if (silent) socket.pause()
    }
  )
  return {
    port: relay.port,
    hold: (now) => {
      silent = now
      for (const socket of relay.sockets) {
        if (now) socket.pause()
        else socket.resume()
      }
    },
    close: relay.close
  }
}

/** A port that leads to one server after another, as the address of a sentinel's or a cloud's primary does. */
export async function startAddress(port: number): Promise<{
  readonly port: number
  lead(to: number): void
  close(): Promise<void>
}> {
  let to = port
  const relay = await startRelay(() => to)
  return {
    port: relay.port,
    lead: (next) => {
      to = next
      for (const socket of relay.sockets) socket.destroy()
    },
    close: relay.close
  }
}

interface Relay {
  readonly port: number
  /** Both ends of each connection. */
  readonly sockets: ReadonlySet<Socket>
  readonly close: () => Promise<void>
}

/** @param target  the port of each new connection @param opened  called for both ends of one */
async function startRelay(target: () => number, opened?: (socket: Socket) => void): Promise<Relay> {
  const sockets = new Set<Socket>()
  const server: Server = createServer((near) => {
    const far = dial(target(), '127.0.0.1')
    for (const [socket, other] of [
      [near, far],
      [far, near]
    ] as const) {
      sockets.add(socket)
      socket.on('error', () => undefined)
      socket.on('close', () => {
        sockets.delete(socket)
        other.destroy()
      })
      socket.on('data', (bytes) => other.write(bytes))
      opened?.(socket)
    }
  }).listen(0, '127.0.0.1')
  await once(server, 'listening')
  return {
    port: (server.address() as AddressInfo).port,
    sockets,
    close: async () => {
      for (const socket of sockets) socket.destroy()
      server.close()
      await once(server, 'close')
    }
  }
}
