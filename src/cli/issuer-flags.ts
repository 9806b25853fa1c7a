/**
 * The options of an issuer that `doctor` and `explain` share.
 *
 * Tests: `test/cli/cli.test.ts`.
 */
import { requireUrl, UsageError } from './command.js'

export const ISSUER_FLAGS = {
  'metadata-url': { type: 'string' },
  'jwks-uri': { type: 'string' },
  'jwks-token-file': { type: 'string' },
  ca: { type: 'string' },
  json: { type: 'boolean', default: false }
} as const

export const ISSUER_HELP = `  --metadata-url URL      where the metadata are, if not at a well-known place
  --jwks-uri URL          where the keys are, if the metadata do not say
  --jwks-token-file FILE  a bearer token for --jwks-uri; it is sent there alone
  --ca FILE               a private CA in PEM that signs the servers' certificates
  --json                  print JSON
  --help                  print this text`

export interface IssuerFlags {
  readonly metadataUrl: string | undefined
  readonly jwksUri: string | undefined
  readonly jwksTokenFile: string | undefined
  /** Path of a file with CA certificates in PEM. */
  readonly ca: string | undefined
}

/** @throws {UsageError} a value that is not a URL, or a token file without the URL that it is for */
export function readIssuerFlags(values: {
  readonly 'metadata-url'?: string | undefined
  readonly 'jwks-uri'?: string | undefined
  readonly 'jwks-token-file'?: string | undefined
  readonly ca?: string | undefined
}): IssuerFlags {
  const { 'metadata-url': metadataUrl, 'jwks-uri': jwksUri, 'jwks-token-file': jwksTokenFile, ca } = values
  requireUrl(metadataUrl, 'metadata-url')
  requireUrl(jwksUri, 'jwks-uri')
  if (jwksTokenFile !== undefined && jwksUri === undefined)
    throw new UsageError('--jwks-token-file needs --jwks-uri, the one address that the token is sent to.')
  return { metadataUrl, jwksUri, jwksTokenFile, ca }
}
