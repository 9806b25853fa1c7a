/** Ports for programs that do not choose one themselves. */
import { once } from 'node:events'
import { createServer } from 'node:net'

/** A port that is free now. Another program may take it before it is used. */
export async function freePort(): Promise<number> {
  const server = createServer().listen(0)
  await once(server, 'listening')
  const { port } = server.address() as { port: number }
  server.close()
  await once(server, 'close')
  return port
}
