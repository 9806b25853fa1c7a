/**
 * The command `issuer` in the table of commands. The server behind it is loaded only when it starts.
 *
 * Tests: `test/cli/issuer.test.ts`.
 */
import type { Command } from '../command.js'
import { ISSUER_HELP } from './settings.js'

export const issuerCommand: Command = {
  summary: 'issuer --resource  starts an authorization server to develop an API against',
  help: ISSUER_HELP,
  run: async (args, terminal) => (await import('./command.js')).issuer(args, terminal)
}
