/** Ports for programs that do not choose one themselves. */
import { once } from 'node:events'
import { createServer } from 'node:net'

/** Each process starts elsewhere, and no call gives a port twice. */
let next = 20_000 + Math.floor(Math.random() * 10_000)

/**
 * A port that is free now, and below those that `listen(0)` draws from: no other test gets it before the program does.
 *
 * @returns {Promise<number>}
 */
export async function freePort() {
  for (;;) {
    const port = next++
    const server = createServer().listen(port)
    const isFree = await once(server, 'listening').then(
      () => true,
      (error) => {
        if (error.code !== 'EADDRINUSE') throw error
        return false
      }
    )
    if (!isFree) continue
    server.close()
    await once(server, 'close')
    return port
  }
}
