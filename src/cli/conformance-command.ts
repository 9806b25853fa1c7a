/**
 * The command `conformance`, which is loaded when it is called: no other command needs the suite.
 *
 * Tests: `test/conformance/command.test.ts`.
 */
import type { Command } from './command.js'

export const conformanceCommand: Command = {
  summary: 'conformance URL   holds an API, in any language, to the RFCs of resource servers',
  help: async () => (await import('../../conformance/command.js')).HELP,
  run: async (args, terminal) => (await import('../../conformance/command.js')).runCommand(args, terminal)
}
