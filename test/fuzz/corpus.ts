/**
 * The cases that are kept: one text file for each target, with a heading for each case, and the input below it.
 *
 * ```
 * ### expired | a token that ended half a minute ago
 * Bearer <<token {"exp":1749999970}>>
 * ```
 *
 * Before the bar stands what must become of it; `?` is a finding of the fuzzer that nobody has looked at yet, of which no
 * more is asked than that no rule is broken.
 */
import { appendFileSync, readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'

export interface Case {
  readonly title: string
  readonly verdict: string
  /** A template: see `template.ts`. */
  readonly input: string
}

export const UNKNOWN = '?'

const pathOf = (target: string): string => fileURLToPath(new URL(`corpus/${target}.txt`, import.meta.url))

export function readCorpus(target: string): readonly Case[] {
  const [, ...cases] = `\n${readFileSync(pathOf(target), 'utf8')}`.split('\n### ')
  return cases.map((one) => {
    const [heading = '', ...lines] = one.replace(/\n$/, '').split('\n')
    const [verdict = '', title = ''] = heading.split(' | ')
    return { title, verdict, input: lines.join('\n') }
  })
}

/** For good: whoever finds out what is wrong writes down what should become of it. */
export function appendCase(target: string, { title, verdict, input }: Case): void {
  appendFileSync(pathOf(target), `### ${verdict} | ${title.replace(/[^\x20-\x7b\x7d\x7e]+/g, ' ')}\n${input}\n`)
}
