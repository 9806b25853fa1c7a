/** docs/reference.md names what the package exports, by the names under which it is imported. */
import { readFileSync } from 'node:fs'
import { expect, test } from 'vitest'

const read = (path: string): string => readFileSync(new URL(`../../${path}`, import.meta.url), 'utf8')
const page = read('docs/reference.md')

/** Each heading with its block of code. */
const entries = page
  .split(/^### /m)
  .slice(1)
  .map((text) => ({
    heading: text.slice(0, text.indexOf('\n')).replace(/^default: /, ''),
    code: [...text.matchAll(/```ts\n([\s\S]*?)```/g)].at(-1)?.[1] ?? ''
  }))

test('every function and type on the page is declared under the name of its heading', () => {
  const declared = entries.flatMap(({ heading, code }) => {
    const name = /^(?:abstract )?(?:function|class|interface|type|const) ([\w$]+)/.exec(code)?.[1]
    return name === undefined ? [] : [[heading, name]]
  })
  expect(declared.length).toBeGreaterThan(200)
  expect(declared.filter(([heading, name]) => heading !== name)).toEqual([])
})

test('every public name of the package has its heading', () => {
  // The surface is read from the declarations by other code (test/package/surface.test.ts), and looked at by people.
  const names = [...read('test/package/surface.txt').matchAll(/^ {2}\w+ (\w+)$/gm)].map(([, name = '']) => name)
  const headings = new Set(entries.map(({ heading }) => heading))
  expect(names.length).toBeGreaterThan(200)
  expect(names.filter((name) => name !== 'default' && !headings.has(name))).toEqual([])
})

test('every heading of a name is linked from the list of its entry', () => {
  const linked = new Set([...page.matchAll(/\[`([\w$]+)`\]\(#[\w-]+\)(?: ·|$)/gm)].map(([, name]) => name))
  expect(
    entries.map(({ heading }) => heading).filter((heading) => !linked.has(heading) && page.includes(`### ${heading}\n`))
  ).toEqual([])
})
