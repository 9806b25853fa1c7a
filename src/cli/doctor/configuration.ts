/**
 * Writes the configuration that `doctor` ends with: the options of an issuer or a vendor's profile, as code to paste.
 *
 * Tests: `test/cli/vendors.test.ts`.
 */
import type { AuthorizationServerMetadata } from '../../issuer/metadata.js'
import { inLine, json } from '../terminal.js'
import type { Vendor } from '../vendors.js'
import { textsOf } from './findings.js'

export interface ConfigurationOptions {
  readonly issuer: string
  readonly resource: string
  readonly metadataUrl?: string | undefined
  readonly jwksUri?: string | undefined
  readonly jwksTokenFile?: string | undefined
  /** True if a private CA was given. */
  readonly ca: boolean
  /** True if the servers were reached through the proxy that the environment names. */
  readonly proxy: boolean
}

/** @param metadata undefined if none were found */
export function configurationFor(
  options: ConfigurationOptions,
  metadata: AuthorizationServerMetadata | undefined,
  vendor: Vendor | undefined
): string {
  const profile = vendor?.profile
  const entry = profile === undefined ? plainEntry(options) : profileEntry(vendor as Vendor, profile, options)
  const members = [
    `resource: ${literal(options.resource)}`,
    // The profile of Entra returns a list.
    profile === 'entra' ? `issuers: ${entry}` : `issuers: [\n${indented(entry, '  ')}\n]`,
    ...(options.proxy ? ["http: { proxy: 'environment' }"] : [])
  ]
  const lines = [
    "import { resourceServer } from 'oauth-resource-server'",
    ...(profile === undefined ? [] : [`import { ${profile} } from 'oauth-resource-server/profiles'`]),
    '',
    'const api = resourceServer({',
    indented(members.join(',\n'), '  '),
    '})',
    ...(options.ca ? ['// Start Node with the private CA: NODE_EXTRA_CA_CERTS=/path/of/ca.pem'] : []),
    ...(vendor?.introspects ? [] : introspectionLines(metadata).map((line) => `// ${line}`))
  ]
  return `${lines.join('\n')}\n`
}

function literal(value: unknown): string {
  return json(value).trimEnd()
}

function indented(block: string, by: string): string {
  return block.replace(/^(?=.)/gm, by)
}

/** Options that the flags gave, as members of an object. */
function overrides({ metadataUrl, jwksUri, jwksTokenFile }: ConfigurationOptions): readonly string[] {
  return [
    ...(metadataUrl === undefined ? [] : [`metadataUrl: ${literal(metadataUrl)}`]),
    ...(jwksUri === undefined ? [] : [`jwksUri: ${literal(jwksUri)}`]),
    ...(jwksTokenFile === undefined ? [] : [`jwksAuth: { tokenFile: ${literal(jwksTokenFile)} }`])
  ]
}

function plainEntry(options: ConfigurationOptions): string {
  return `{\n${[`issuer: ${literal(options.issuer)}`, ...overrides(options)].map((line) => `  ${line}`).join(',\n')}\n}`
}

function profileEntry({ known, secrets = {}, asked }: Vendor, profile: string, options: ConfigurationOptions): string {
  const isAsked = Object.entries(asked)
  const members = [
    ...Object.entries(known).map(([name, value]) => ({ code: `${name}: ${inOneLine(value)}`, origin: undefined })),
    ...Object.entries(secrets).map(([name, variable]) => ({
      code: `${name}: process.env.${variable} ?? ''`,
      origin: undefined
    })),
    ...isAsked.map(([name, [example, origin]]) => ({ code: `${name}: ${literal(example)}`, origin }))
  ]
  const last = members.length - 1
  const lines = members.map(
    ({ code, origin }, i) => `  ${code}${i < last ? ',' : ''}${origin === undefined ? '' : ` // ${origin}`}`
  )
  const call = `${profile}({\n${lines.join('\n')}\n})`
  const more = overrides(options)
  if (profile === 'entra' && more.length > 0) return `${call}.map((one) => ({ ...one, ${more.join(', ')} }))`
  return more.length === 0 ? call : `{\n  ...${indented(call, '  ').trimStart()},\n  ${more.join(',\n  ')}\n}`
}

function inOneLine(value: string | readonly string[]): string {
  return typeof value === 'string' ? literal(value) : `[${value.map(literal).join(', ')}]`
}

/** How an API authenticates for introspection, by the method that the metadata offer; the first that is offered. */
const METHODS: readonly (readonly [method: RegExp, code: string])[] = [
  [/^client_secret_basic$/, 'clientSecretBasic(process.env.CLIENT_SECRET)'],
  [/^client_secret_post$/, 'clientSecretPost(process.env.CLIENT_SECRET)'],
  [/^private_key_jwt$/, "privateKeyJwt(createPrivateKey(readFileSync('key.pem')))"],
  [/^(?:self_signed_)?tls_client_auth$/, 'tlsClientAuth()'],
  [/^bearer$/i, 'bearerToken(process.env.INTROSPECTION_TOKEN)'],
  [/^none$/, 'noClientAuth()']
]

/**
 * The option `introspection` for an authorization server, with the authentication that its metadata offer (RFC 8414 §2).
 *
 * @returns lines of text and code; empty if the server offers no introspection
 */
export function introspectionLines(metadata: AuthorizationServerMetadata | undefined): readonly string[] {
  if (typeof metadata?.['introspection_endpoint'] !== 'string') return []
  const offered = textsOf(metadata['introspection_endpoint_auth_methods_supported'])
  const method = METHODS.find(([pattern]) => offered?.some((one) => pattern.test(one)))
  const [, code] = method ?? (METHODS[0] as (typeof METHODS)[number])
  const told =
    offered === undefined
      ? ['The metadata name no authentication there; client_secret_basic is usual.']
      : method === undefined
        ? [
            `The metadata offer ${inLine(offered.join(', ') || 'nothing')} there: write a function of your own as \`auth\`.`
          ]
        : []
  const isKeyOffered = offered?.includes('private_key_jwt') && !code.startsWith('privateKeyJwt')
  return [
    'For opaque tokens and for fresh(), add to the issuer:',
    `introspection: { clientId: 'api', auth: ${code} }`,
    ...told,
    ...(isKeyOffered ? ['private_key_jwt is offered too: privateKeyJwt(key) needs no shared secret.'] : [])
  ]
}

/** The command that shows why a token is refused. */
export function explainCommandFor(
  { issuer, resource }: Pick<ConfigurationOptions, 'issuer' | 'resource'>,
  vendor: Vendor | undefined
): string {
  const profile = vendor?.profile === undefined ? '' : ` --profile ${vendor.profile}`
  return `npx oauth-resource-server explain${profile} --issuer ${shellWord(issuer)} --resource ${shellWord(resource)} < token.txt`
}

/** A word that a POSIX shell takes as it is. */
function shellWord(text: string): string {
  const safe = inLine(text)
  return /^[\w./:@%+=,-]+$/.test(safe) ? safe : `'${safe.replaceAll("'", String.raw`'\''`)}'`
}
