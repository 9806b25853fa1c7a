/**
 * The arguments of `explain`.
 *
 * Tests: `test/cli/cli.test.ts`.
 */
import { type Command, readArguments, requireUrl, UsageError } from './command.js'
import { explain } from './explain.js'
import { ISSUER_FLAGS, ISSUER_HELP, readIssuerFlags } from './issuer-flags.js'

const HELP = `Usage:
  oauth-resource-server explain [options] < token.txt

Shows how a resource server judges a token: each check, the value it expected and
the value that came, and the option that would admit the token.

  --issuer URL            the issuer that the API trusts; default: the token's
  --resource URL          the API; default: the token's audience
  --audience TEXT         the API's name in tokens, if it is not its URL
  --token-profile legacy  accept tokens whose typ is JWT or missing
  --scope "a b"           the scopes that the route requires
  --jwks FILE             the issuer's keys: no server is asked for anything
${ISSUER_HELP}

Exit code:
  0  the token is accepted
  1  the token is refused
  2  no usable answer of the authorization server, or the arguments are wrong
`

export const explainCommand: Command = {
  summary: 'explain < FILE     shows how a resource server judges a token, and why',
  help: HELP,
  async run(args, terminal) {
    const { values, positionals } = readArguments('explain', args, {
      resource: { type: 'string' },
      issuer: { type: 'string' },
      audience: { type: 'string' },
      'token-profile': { type: 'string' },
      scope: { type: 'string' },
      jwks: { type: 'string' },
      ...ISSUER_FLAGS
    } as const)
    const { 'token-profile': tokenProfile, issuer, resource, audience, scope, jwks, json } = values
    requireUrl(issuer, 'issuer')
    requireUrl(resource, 'resource')
    const flags = readIssuerFlags(values)
    if (jwks !== undefined && flags.jwksUri !== undefined)
      throw new UsageError('--jwks and --jwks-uri: give the keys or the place to fetch them, not both.')
    if (tokenProfile !== undefined && tokenProfile !== 'rfc9068' && tokenProfile !== 'legacy')
      throw new UsageError('--token-profile: rfc9068 or legacy.')
    const isPiped = positionals.length === 0 || (positionals.length === 1 && positionals[0] === '-')
    const given = isPiped ? await terminal.input() : positionals.join(' ')
    const token = given
      .trim()
      .replace(/^Authorization: *|^Bearer +/gi, '')
      .replace(/^Bearer +/i, '')
    if (token === '' || /\s/.test(token))
      throw new UsageError('explain needs one token, on standard input or as an argument.')
    return explain({ token, issuer, resource, audience, scope, jwks, json, tokenProfile, ...flags }, terminal)
  }
}
