/**
 * Collects all problems of a vendor profile's parameters. They are checked here because derived options could be
 * well-formed and still name a different server than intended.
 *
 * Tests: `test/profiles/profiles.test.ts`.
 */
import { Problems } from '../base/options/problems.js'
import { suggestForProfile } from '../base/options/suggestions.js'

/** One name or several. */
export type Names = string | readonly string[]

export class ProfileProblems extends Problems {
  /**
   * @param name name of the profile
   * @param known names of its parameters
   * @throws {TypeError} options that are not an object
   */
  constructor(name: string, options: object, known: readonly string[]) {
    super(`${name}()`)
    if (!this.object(options, 'options')) throw this.error()
    for (const key of Object.keys(options)) {
      if (known.includes(key)) continue
      const { problem, cure } = suggestForProfile(name, key, known)
      this.add(key, problem, cure)
    }
  }

  /** Names as a list: at least one, and none of them empty. */
  list(value: unknown, option: string): readonly string[] {
    if (Array.isArray(value) && value.length === 0) this.add(option, 'is empty', 'name at least one')
    return this.names(typeof value === 'string' ? [value] : value, option)
  }

  /**
   * Names as in {@link list}, each of the given shape.
   *
   * @param meaning the expected form, with an example
   */
  shapes(value: unknown, option: string, shape: RegExp, meaning: string): readonly string[] {
    const names = this.list(value, option)
    for (const one of names) this.shape(one, option, shape, meaning)
    return names
  }

  /** @param meaning the expected form, with an example */
  shape(value: unknown, option: string, shape: RegExp, meaning: string): void {
    if (typeof value !== 'string' || !shape.test(value)) this.addValue(option, value, `it must be ${meaning}`)
  }

  /** An https URL of the given shape, unchanged; http on the loopback interface only. */
  address(value: string, option: string, shape: RegExp, meaning: string): string {
    if (this.place(value, option, meaning)) this.shape(value, option, shape, meaning)
    return value
  }

  /** @throws {TypeError} listing every problem, if there are any */
  cleared<T>(profile: T): T {
    if (this.any) throw this.error()
    return profile
  }
}

export const GUID: RegExp = /^[\da-f]{8}(-[\da-f]{4}){3}-[\da-f]{12}$/

/** An origin, without path and trailing slash. */
export const ORIGIN: RegExp = /^[a-z]+:\/\/[^/?#]+$/

export const HOST: RegExp = /^[a-z\d][a-z\d.-]*[a-z\d]$/
