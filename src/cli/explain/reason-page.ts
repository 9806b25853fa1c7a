/**
 * Prints what the troubleshooting page says of one reason, without a network. The page is a part of the package.
 *
 * Tests: `test/cli/reason-page.test.ts`.
 */
import { nearest, UsageError } from '../command.js'
import { json, painter, say, type Terminal } from '../terminal.js'

/** @throws {UsageError} a reason that the page does not have */
export async function printReason(reason: string, asJson: boolean, terminal: Terminal): Promise<0> {
  const page = await terminal.readPage()
  const sections = sectionsOf(page)
  const section = sections.get(reason)
  if (section === undefined) {
    const near = nearest(reason, [...sections.keys()]).slice(0, 5)
    const advice = near.length > 0 ? `Near: ${near.join(', ')}.` : `The reasons: ${[...sections.keys()].join(', ')}.`
    throw new UsageError(`--reason: there is no such reason. ${advice}`)
  }
  if (asJson) terminal.out(json({ reason, text: section }))
  else {
    say(terminal, painter(terminal)('bold', reason))
    for (const block of section.split('\n\n')) say(terminal, `\n${unwrapped(block)}`)
  }
  return 0
}

/** The sections of the page that are about a reason, by its name. */
function sectionsOf(page: string): ReadonlyMap<string, string> {
  const parts = page.split(/^### /m).slice(1)
  const named = parts.map((part) => /^`([\w-]+)`\n([\s\S]*?)(?=^## |(?![\s\S]))/m.exec(part))
  return new Map(named.filter((one) => one !== null).map(([, name = '', text = '']) => [name, text.trim()]))
}

/** A block of Markdown as plain text: one line for each paragraph or list item, without marks and link addresses. */
function unwrapped(block: string): string {
  if (block.startsWith('```') || block.trimStart().startsWith('|')) return block.replace(/^```\w*\n?/gm, '')
  return block
    .replace(/\n(?!- |\d+\. |```) */g, ' ')
    .replace(/\*\*([^*]+)\*\*/g, '$1')
    .replace(/\[([^\]]+)\]\([^)]*\)/g, '$1')
}
