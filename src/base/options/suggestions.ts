/**
 * The cure of a name that is not an option: its place here, its counterpart, or the spelling that was
 * meant. Sees names only, so it can show no value.
 *
 * Tests: `test/base/options/option-names.test.ts`.
 */
import { COUNTERPARTS, type Counterpart, FORMER, PLACES, type Place } from './option-names.js'
import { closest, closestOf, meantOf } from './spelling.js'

/** One name's mistake, and its cure. */
export interface Suggestion {
  readonly problem: string
  readonly cure: string
}

/**
 * @param place  path of the object that has the name, with `[]` for an index; undefined for options of another function
 * @param known  names that the object may have
 */
export function suggest(name: string, place: string | undefined, known: readonly string[]): Suggestion {
  const problem = 'is not an option'
  const path = place ? `${place}.${name}` : name
  if (place !== undefined && Object.hasOwn(FORMER, path))
    return { problem: 'was renamed', cure: `write ${FORMER[path]}` }
  const here = closest(name, known) === undefined ? undefined : { problem, cure: meantOf(name, known) }
  const elsewhere = place !== undefined && Object.hasOwn(PLACES, place) ? ofAnotherPlace(name, path) : undefined
  // At the top, `issuer` is the name in another package rather than a misspelling of `issuers`.
  const found = place === '' ? (elsewhere ?? here) : (here ?? elsewhere)
  return found ?? { problem, cure: meantOf(name, known) }
}

/** The counterpart of a name from another package, or else the place of an option of ours. */
function ofAnotherPlace(name: string, path: string): Suggestion | undefined {
  const counterpart = lookUp(COUNTERPARTS, path) ?? lookUp(COUNTERPARTS, name)
  if (counterpart) return { problem: 'is not an option here', cure: sentenceOf(counterpart) }
  for (const place of Object.values(PLACES)) {
    const option = closestOf(name, Object.keys(place.options), 0)
    if (option !== undefined)
      return { problem: `is an option of ${place.name}`, cure: `write ${codeOf(place, option)}` }
  }
  return undefined
}

/** An option of an issuer goes beside the profile's answer, and one of `resourceServer()` goes there. */
export function suggestForProfile(profile: string, name: string, known: readonly string[]): Suggestion {
  const problem = 'is not an option of the profile'
  const ofIssuer = exampleOf(`issuers[].${name}`)
  if (ofIssuer) return { problem, cure: `write issuers: [{ ...${profile}({ … }), ${ofIssuer} }]` }
  const ofServer = exampleOf(name)
  if (ofServer) return { problem, cure: `write ${ofServer} in the options of resourceServer()` }
  return { problem, cure: meantOf(name, known) }
}

/** The counterpart here of a name from another package. */
export function counterpartOf(name: string): string | undefined {
  const counterpart = lookUp(COUNTERPARTS, name)
  return counterpart && sentenceOf(counterpart)
}

function lookUp(rows: Readonly<Record<string, Counterpart>>, name: string): Counterpart | undefined {
  const key = closestOf(name, Object.keys(rows), 0)
  return key === undefined ? undefined : rows[key]
}

function sentenceOf({ write, call, why }: Counterpart): string {
  const code = write ?? call
  if (code === undefined) return why ?? ''
  return `write ${code}${why === undefined ? '' : ` (${why})`}`
}

/** The line that sets an option, with the members that its place needs. */
export function codeOf({ code, needs, options }: Place, option: string): string {
  const members = { ...needs, [option]: options[option] }
  const others = Object.entries(members).filter(([name]) => name !== option)
  const own = `${option}: ${options[option]}`
  const list = [...others.filter(([name]) => !own.includes(` ${name}: `)).map((pair) => pair.join(': ')), own]
  return code.replace('…', () => list.join(', '))
}

/** An option with an example value, as code; undefined where the path names none of ours. */
export function exampleOf(path: string): string | undefined {
  const [, place = '', name = ''] = /^(?:(.*)\.)?([^.[\]]+)$/.exec(placeOf(path)) ?? []
  const options = Object.hasOwn(PLACES, place) ? PLACES[place]?.options : undefined
  return options && Object.hasOwn(options, name) ? `${name}: ${options[name]}` : undefined
}

/** The path of a place without indexes. The answer of a resolver is an issuer too. */
export function placeOf(path: string): string {
  return path.replace(/\[\d+\]/g, '[]').replace(/^answer\b/, 'issuers[]')
}
