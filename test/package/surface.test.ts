/**
 * The public names of each entry, with what they are, against a list that is looked at when it changes: what is in it is
 * promised. `npx vitest run -u test/package/surface.test.ts` writes it anew. And how much it all may weigh.
 */
import { existsSync, readFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { gzipSync } from 'node:zlib'
import { expect, test } from 'vitest'

const ROOT = fileURLToPath(new URL('../..', import.meta.url))
const { exports } = JSON.parse(readFileSync(join(ROOT, 'package.json'), 'utf8')) as {
  exports: Record<string, string | { types: string; default: string }>
}
const ENTRIES = Object.entries(exports).flatMap(([name, one]) => (typeof one === 'string' ? [] : [{ name, ...one }]))

/** Names that a declaration file exports, as `type Access`, `function scope`. */
function namesOf(file: string): string[] {
  const text = readFileSync(file, 'utf8').replace(/\/\*[\s\S]*?\*\//g, '')
  const own = [
    ...text.matchAll(/^export (?:declare )?(?:abstract )?(default )?(class|const|function|interface|type) (\w+)/gm)
  ].map(
    ([, isDefault = '', kind = '', name = '']) =>
      [isDefault ? 'default' : name, kind === 'interface' ? 'type' : kind] as const
  )
  const lists = [...text.matchAll(/^export (type )?\{([^}]*)\}(?: from '([^']+)')?/gm)].flatMap(
    ([, allTypes, list = '', from]) => {
      const known =
        from === undefined
          ? new Map<string, string>()
          : new Map(kindsIn(join(dirname(file), from.replace(/\.js$/, '.d.ts'))))
      return list
        .split(',')
        .map((one) => one.trim())
        .filter(Boolean)
        .map((one) => {
          const [, isType, name = '', alias = name] = /^(type )?(\w+)(?: as (\w+))?$/.exec(one) ?? []
          const kind = allTypes || isType ? 'type' : (known.get(name) ?? 'value')
          return [alias, kind] as const
        })
    }
  )
  return [...new Set([...own, ...lists].map(([name, kind]) => `${kind} ${name}`))].toSorted()
}

function kindsIn(file: string): (readonly [string, string])[] {
  if (!existsSync(file)) return []
  return namesOf(file).map((one) => one.split(' ').toReversed() as [string, string])
}

test('exports exactly the public names of surface.txt', async () => {
  const surface = ENTRIES.map(({ name, types }) =>
    [name, ...namesOf(join(ROOT, types)).map((one) => `  ${one}`)].join('\n')
  )
  await expect(`${surface.join('\n\n')}\n`).toMatchFileSnapshot('surface.txt')
})

/** Comments stay in what is published, for those who read it; they must not be shortened to keep the package small. */
const withoutComments = (text: string): string =>
  text.replace(/^\s*\/\*[\s\S]*?\*\/\s*$/gm, '').replace(/^\s*\/\/.*$/gm, '')

test('an API loads little JavaScript: KiB without comments, compressed', () => {
  const seen = new Set<string>()
  const weigh = (file: string): number => {
    if (seen.has(file)) return 0
    seen.add(file)
    const text = readFileSync(file, 'utf8')
    const imported = [...text.matchAll(/^(?:import|export)[^'"]*?(?:from )?"(\.[^"]+)"/gm)].map(([, from = '']) => from)
    return (
      gzipSync(withoutComments(text)).length / 1024 +
      imported.map((from) => weigh(join(dirname(file), from))).reduce((a, b) => a + b, 0)
    )
  }
  const budgets = { './express': 122, './testing': 123, './log': 4, './otel': 4, './redis': 7 } as const
  for (const [name, budget] of Object.entries(budgets)) {
    seen.clear()
    const entry = ENTRIES.find((one) => one.name === name)
    const size = weigh(join(ROOT, entry?.default ?? ''))
    expect({ name, size: Math.round(size), fits: size > 0 && size <= budget }).toEqual({
      name,
      size: Math.round(size),
      fits: true
    })
  }
})
