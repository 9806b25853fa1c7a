/**
 * The arguments of `explain`.
 *
 * Tests: `test/cli/cli.test.ts`.
 */
import { type Command, readArguments, requireUrl, UsageError } from '../command.js'
import { ISSUER_FLAGS, ISSUER_HELP, readIssuerFlags } from '../issuer-flags.js'
import type { Terminal } from '../terminal.js'
import { readCredential } from './credential.js'
import { explain } from './explain.js'
import { printReason } from './reason-page.js'

const HELP = `Usage:
  oauth-resource-server explain [options] < token.txt
  oauth-resource-server explain --reason NAME

Shows how a resource server judges a token: each check, the value it expected and
the value that came, and the option that would admit the token. Paste a token, an
Authorization field, a whole curl command, or the answer of a token endpoint.

  --reason NAME           print the help for a refusal, such as audience; offline

The API that judges:
  --config FILE           a module that exports your API or its options; it is run
  --issuer URL            the issuer that the API trusts; default: the token's
  --resource URL          the API; default: the token's audience
  --audience TEXT         the API's name in tokens, if it is not its URL
  --token-profile legacy  accept tokens whose typ is JWT or missing
  --profile NAME          use the profile of a vendor, such as keycloak
  --with NAME=VALUE       a parameter of the profile; may be repeated
  --scope "a b"           the scopes that the route requires
  --jwks FILE             the issuer's keys: no server is asked for anything
  --decrypt FILE          the API's private key, for an encrypted token: PEM or JWK
${ISSUER_HELP}

Exit code:
  0  the token is accepted
  1  the token is refused
  2  no usable answer of the authorization server, or the arguments are wrong
`

const FLAGS = {
  resource: { type: 'string' },
  issuer: { type: 'string' },
  audience: { type: 'string' },
  'token-profile': { type: 'string' },
  profile: { type: 'string' },
  with: { type: 'string', multiple: true },
  scope: { type: 'string' },
  jwks: { type: 'string' },
  decrypt: { type: 'string' },
  config: { type: 'string' },
  reason: { type: 'string' },
  ...ISSUER_FLAGS
} as const

/** Options that make a configuration, and so contradict `--config`. */
const CONFIGURING = [
  'resource',
  'issuer',
  'audience',
  'token-profile',
  'profile',
  'with',
  'jwks',
  'decrypt',
  'metadata-url',
  'jwks-uri',
  'jwks-token-file'
] as const

export const explainCommand: Command = {
  summary: 'explain < FILE     shows how a resource server judges a token, and why',
  help: HELP,
  async run(args, terminal) {
    const { values, positionals } = readArguments('explain', args, FLAGS)
    const { reason, issuer, resource, audience, profile, scope, jwks, decrypt, config, json } = values
    if (reason !== undefined) return printReason(reason, json, terminal)
    requireUrl(issuer, 'issuer')
    requireUrl(resource, 'resource')
    const flags = readIssuerFlags(values)
    const tokenProfile = readTokenProfile(values['token-profile'])
    const contradicting = config === undefined ? undefined : CONFIGURING.find((name) => values[name] !== undefined)
    if (contradicting !== undefined)
      throw new UsageError(`--config has all settings of the API: leave --${contradicting} out.`)
    if (jwks !== undefined && flags.jwksUri !== undefined)
      throw new UsageError('--jwks and --jwks-uri: give the keys or the place to fetch them, not both.')
    if (values.with !== undefined && profile === undefined)
      throw new UsageError('--with is a parameter of a profile: add --profile NAME.')
    const credential = readCredential(await readPasted(positionals, terminal))
    const options = { issuer, resource, audience, tokenProfile, profile, scope, jwks, decrypt, config, json }
    return explain({ ...credential, ...options, ...flags, parameters: values.with }, terminal)
  }
}

function readTokenProfile(text: string | undefined): 'rfc9068' | 'legacy' | undefined {
  if (text === undefined || text === 'rfc9068' || text === 'legacy') return text
  throw new UsageError('--token-profile is rfc9068 (the default) or legacy.')
}

/** The text from the arguments, with a warning, or from standard input. */
async function readPasted(words: readonly string[], terminal: Terminal): Promise<string> {
  if (words.length === 0 || (words.length === 1 && words[0] === '-')) return terminal.input()
  terminal.err(
    'Warning: a token in the arguments stays in the history of your shell, and other users see it in `ps`.\nGive it on standard input: oauth-resource-server explain < token.txt\n\n'
  )
  return words.join(' ')
}
