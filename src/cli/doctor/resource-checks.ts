/**
 * The part of `doctor` that looks at an API: its metadata (RFC 9728) and its answer to a request without a token.
 *
 * Tests: `test/cli/cli.test.ts`.
 */
import { parseObject } from '../../base/json.js'
import { describeStatus } from '../../http/exchange.js'
import { metadataUrl } from '../../server/protected-resource.js'
import { causeOf, certificateRemedy } from '../causes.js'
import { type Terminal, waiting } from '../terminal.js'
import { type Add, quoted, textsOf } from './findings.js'

/** Milliseconds to wait for the API's answer, and maximum bytes of its body. */
const PATIENCE = 5000
const MAX_BYTES = 256 * 1024

type Document = Readonly<Record<string, unknown>>

export async function checkResource(resource: string, issuer: string, terminal: Terminal, add: Add): Promise<void> {
  const get = (url: string): Promise<Fetched> => waiting(terminal, `asking ${url}`, fetchDocument(terminal, url))
  const place = metadataUrl(new URL(resource).href)
  const { document, problem } = await get(place)
  if (document === undefined || problem !== undefined) add('failed', `Metadata at ${place}`, `${problem} (RFC 9728 §3)`)
  else {
    const same = document['resource'] === resource
    const named = `names ${quoted(document['resource'])}: it must be exactly equal (RFC 9728 §3.3)`
    add(same ? 'passed' : 'failed', `Metadata at ${place}`, same ? undefined : named)
    const servers = document['authorization_servers']
    const has = Array.isArray(servers) && servers.includes(issuer)
    const others = `\`authorization_servers\`: ${textsOf(servers)?.map(quoted).join(', ') || 'none'}`
    add(has ? 'passed' : 'failed', 'It names this issuer', has ? undefined : others)
  }
  const { status, headers, problem: silent } = await get(resource)
  const challenge = headers.get('www-authenticate')
  if (status === 401 && challenge !== null)
    add(
      challenge.includes('resource_metadata') ? 'passed' : 'warning',
      `${resource} without a token is 401, and says where to look`,
      challenge.includes('resource_metadata') ? undefined : `${challenge}\nNo \`resource_metadata\` (RFC 9728 §5.1).`
    )
  else
    add(
      'note',
      `${resource} without a token`,
      `${silent ?? `answered ${status}`}. If it is protected, it should be 401 with WWW-Authenticate.`
    )
}

/** The answer of the API itself. */
interface Fetched {
  /** 0 without an answer. */
  readonly status: number
  readonly headers: Headers
  readonly document: Document | undefined
  readonly problem: string | undefined
}

async function fetchDocument({ fetch }: Terminal, url: string): Promise<Fetched> {
  const nothing = { status: 0, headers: new Headers(), document: undefined }
  try {
    const response = await fetch(url, {
      redirect: 'manual',
      signal: AbortSignal.timeout(PATIENCE),
      headers: { accept: 'application/json' }
    })
    const { status, headers } = response
    if (status !== 200) return { ...nothing, status, headers, problem: describeStatus(status) }
    const document = parseObject(await readSome(response))
    const problem =
      document === undefined
        ? `answered with something that is not a JSON object of at most ${MAX_BYTES} bytes and 64 levels`
        : undefined
    return { status, headers, document, problem }
  } catch (error) {
    const lines = ['could not be reached', causeOf(error), certificateRemedy(error)]
    return { ...nothing, problem: lines.filter((line) => line !== undefined).join(': ') }
  }
}

/** Reads at most the limit. A longer body is truncated and therefore not JSON. */
async function readSome({ body }: Response): Promise<string> {
  const chunks: Uint8Array[] = []
  let bytes = 0
  for await (const chunk of body ?? []) {
    bytes += chunk.byteLength
    if (bytes > MAX_BYTES) break
    chunks.push(chunk)
  }
  return Buffer.concat(chunks).toString()
}
