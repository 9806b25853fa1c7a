/** A server over TLS that no request is to get past: its certificate is not accepted. */
import { once } from 'node:events'
import { createServer } from 'node:https'
import type { AddressInfo } from 'node:net'
import { type CertificateAndKey, createSelfSignedCertificate } from './certificates.js'

interface Closing {
  closing(one: { close(): Promise<void> }): unknown
}

/** @returns its origin, which is open until the bed is closed */
export async function startTls(
  bed: Closing,
  certificate: CertificateAndKey = createSelfSignedCertificate('localhost')
): Promise<string> {
  const server = createServer({ ...certificate })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  bed.closing({
    close: async () => {
      server.closeAllConnections()
      server.close()
    }
  })
  return `https://127.0.0.1:${(server.address() as AddressInfo).port}`
}
