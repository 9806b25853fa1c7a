/**
 * The requirements that decorators leave on classes and methods, and what they mean together: a handler needs its own
 * and those of its class. `Public()` ends the search, so it opens a handler of a protected class, and a handler with
 * requirements stays protected in a public class.
 */
import 'reflect-metadata'
import type { Requirement } from '../../src/index.js'

/** The requirements that one class or method declares. */
export type Declared = readonly (Requirement | typeof PUBLIC)[]

/** Stands for a handler that needs no token. */
export const PUBLIC: unique symbol = Symbol.for('oauth-resource-server.public')

const RULE = Symbol.for('oauth-resource-server.rule')

/** Adds to what other decorators declared on the same class or method. */
function declare(place: object, declared: Declared): void {
  Reflect.defineMetadata(RULE, [...declared, ...declaredOn(place)], place)
}

/** As {@link declare}, on a class or a method, and remembers the name of the method. */
export function declareAt(declared: Declared, target: object, name?: string | symbol, at?: PropertyDescriptor): void {
  declare(at?.value ?? target, declared)
  if (name !== undefined) Reflect.defineMetadata(RULE, true, target, name)
}

/**
 * True if a decorator replaced a method after its requirements were declared: they belong to the old function, and Nest
 * calls the new one.
 */
export function isReplaced(prototype: object, name: string): boolean {
  let owner: object | null = prototype
  while (owner !== null && !Object.hasOwn(owner, name)) owner = Object.getPrototypeOf(owner)
  if (owner === null || !Reflect.hasOwnMetadata(RULE, owner, name)) return false
  return !isDeclared((owner as Readonly<Record<string, object>>)[name] as object)
}

/** True if `place` itself has a requirement or `Public()`. */
export function isDeclared(place: object): boolean {
  return Reflect.hasOwnMetadata(RULE, place)
}

function declaredOn(place: object): Declared {
  return (Reflect.getOwnMetadata(RULE, place) as Declared | undefined) ?? []
}

/**
 * @returns the requirements of a handler; null if it needs no token; undefined if neither it nor its class declares
 * anything
 * @throws {TypeError} one place has requirements and `Public()`
 */
export function ruleOf(controller: object, handler: object): readonly Requirement[] | null | undefined {
  const found: Requirement[] = []
  let hasRule = false
  for (const place of [handler, ...withParents(controller)]) {
    if (!isDeclared(place)) continue
    const declared = declaredOn(place)
    const requirements = declared.filter((one) => one !== PUBLIC)
    if (!declared.includes(PUBLIC)) {
      hasRule = true
      found.push(...requirements)
      continue
    }
    if (declared.length > 1)
      throw new TypeError('Public() and Protect() or Roles() are on the same class or method: remove one of them')
    return hasRule ? found : null
  }
  return hasRule ? found : undefined
}

/** A class and the classes that it extends. */
function withParents(controller: object): object[] {
  const parents: object[] = []
  for (let one = controller; typeof one === 'function'; one = Object.getPrototypeOf(one)) parents.push(one)
  return parents
}
