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
import { appendFileSync, mkdirSync, readFileSync } from 'node:fs'
import { join, relative } from 'node:path'
import { fileURLToPath } from 'node:url'

export interface Case {
  readonly title: string
  readonly verdict: string
  /** A template: see `template.ts`. */
  readonly input: string
}

export const UNKNOWN = '?'

/** The folder that `npm test` replays. */
export const CORPUS = fileURLToPath(new URL('corpus', import.meta.url))
/** Where findings go unless they are to be kept: nothing replays it. */
export const FINDINGS = fileURLToPath(new URL('../../coverage/fuzz', import.meta.url))

export function readCorpus(target: string): readonly Case[] {
  const [, ...cases] = `\n${readFileSync(join(CORPUS, `${target}.txt`), 'utf8')}`.split('\n### ')
  return cases.map((one) => {
    const [heading = '', ...lines] = one.replace(/\n$/, '').split('\n')
    const [verdict = '', title = ''] = heading.split(' | ')
    return { title, verdict, input: lines.join('\n') }
  })
}

/** Adds a finding to the target's file in the folder. @returns the file, from the current directory */
export function appendCase(folder: string, target: string, { title, verdict, input }: Case): string {
  const file = join(folder, `${target}.txt`)
  mkdirSync(folder, { recursive: true })
  appendFileSync(file, `### ${verdict} | ${title.replace(/[^\x20-\x7b\x7d\x7e]+/g, ' ')}\n${input}\n`)
  return relative('', file)
}
