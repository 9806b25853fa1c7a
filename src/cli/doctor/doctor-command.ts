/**
 * The arguments of `doctor`.
 *
 * Tests: `test/cli/cli.test.ts`.
 */
import { type Command, isUrl, readArguments, requireUrl, UsageError } from '../command.js'
import { ISSUER_FLAGS, ISSUER_HELP, readIssuerFlags } from '../issuer-flags.js'
import { doctor } from './doctor.js'

const HELP = `Usage:
  oauth-resource-server doctor ISSUER [options]

Checks that a resource server can use an authorization server: its metadata, its
keys, its introspection, its clock. Prints a configuration to paste.

  --resource URL          check this API too: its metadata, its answer without a token
${ISSUER_HELP}

Exit code:
  0  an API with the printed configuration verifies tokens
  1  it does not start, or answers 500 or 503; or something is insecure
  2  no server was reached, or the arguments are wrong
`

export const doctorCommand: Command = {
  summary: 'doctor ISSUER     checks an authorization server, and prints a configuration',
  help: HELP,
  async run(args, terminal) {
    const options = { resource: { type: 'string' }, ...ISSUER_FLAGS } as const
    const { values, positionals } = readArguments('doctor', args, options)
    const [issuer, ...more] = positionals
    if (more.length > 0) throw new UsageError('doctor takes one URL, and got more than one argument.')
    if (issuer === undefined || !isUrl(issuer))
      throw new UsageError('doctor needs the URL of an issuer: doctor https://as.example.com')
    requireUrl(values.resource, 'resource')
    const { resource, json } = values
    return doctor({ issuer, resource, json, ...readIssuerFlags(values) }, terminal)
  }
}
