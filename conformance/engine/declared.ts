/**
 * Checks the facts that the user declares: an unknown member, or a member of another type, would silently leave checks out.
 *
 * Tests: `test/conformance/run.test.ts`.
 */
import type { Declared, Need } from '../check.js'
import { boundProblem } from './bounds.js'
import { RunProblem, WHY } from './select.js'

const WAYS: readonly string[] = ['introspection', 'status-list', 'event', 'logout']
/** `token` of RFC 9110 §5.6.2: names of fields, and methods. */
const TOKEN = /^[!#$%&'*+\-.^_`|~0-9A-Za-z]+$/
/** A value that a field line may have (RFC 9110 §5.5). */
const VALUE = /^[\t\x20-\x7E\x80-\xFF]*$/

type Members = Readonly<Record<string, unknown>>
/** The end of a sentence about a wrong value, or undefined. */
type Rule = (value: unknown) => string | undefined

const must =
  (words: string, isRight: (value: unknown) => boolean): Rule =>
  (value) =>
    isRight(value) ? undefined : `must be ${words}`

const isText = (value: unknown): value is string => typeof value === 'string'
const isTarget = (value: unknown): boolean => isText(value) && /^\/[\x21-\x7E]*$/.test(value)
const isObject = (value: unknown): value is Members =>
  typeof value === 'object' && value !== null && !Array.isArray(value)
const has = (value: unknown, names: Readonly<Record<string, (member: unknown) => boolean>>): boolean =>
  isObject(value) &&
  Object.entries(value).every(([name, member]) => Object.hasOwn(names, name) && (names[name]?.(member) ?? false))
const optional =
  (isRight: (value: unknown) => boolean) =>
  (value: unknown): boolean =>
    value === undefined || isRight(value)
const isField = (value: unknown): boolean =>
  Array.isArray(value) &&
  value.length === 2 &&
  value.every(isText) &&
  TOKEN.test(value[0] as string) &&
  VALUE.test(value[1] as string)

const target = must('a path that begins with a slash, such as /events', isTarget)

const RULES: Readonly<Record<keyof Declared, Rule>> = {
  binding: must('dpop or certificate', (value) => value === 'dpop' || value === 'certificate'),
  request: must(
    'an object with method, fields such as [["Accept", "application/json"]], and body',
    (value) =>
      isObject(value) &&
      value['method'] !== undefined &&
      has(value, {
        method: (one) => isText(one) && TOKEN.test(one),
        fields: optional((one) => Array.isArray(one) && one.every(isField)),
        body: optional(isText)
      })
  ),
  scopedRoutes: must(
    'a list of objects such as { "target": "/orders", "scope": "orders:write" }',
    (value) =>
      Array.isArray(value) &&
      value.every(
        (one: Members) =>
          has(one, { target: isTarget, scope: (scope) => isText(scope) && /^[^\s"\\]+$/.test(scope) }) &&
          Object.keys(one).length === 2
      )
  ),
  stepUp: must(
    'an object such as { "target": "/admin", "acr": "strong", "maxAge": 300 } with acr, maxAge or both',
    (value) =>
      isObject(value) &&
      (value['acr'] !== undefined || value['maxAge'] !== undefined) &&
      isTarget(value['target']) &&
      has(value, {
        target: isTarget,
        acr: optional((acr) => isText(acr) && acr !== ''),
        maxAge: optional((age) => typeof age === 'number' && age >= 0)
      })
  ),
  certificateField: must('the name of a field, such as Client-Cert', (value) => isText(value) && TOKEN.test(value)),
  revokedBy: must(
    `a list of ${WAYS.join(', ')}`,
    (value) => Array.isArray(value) && value.every((one) => WAYS.includes(one as string))
  ),
  eventTarget: target,
  logoutTarget: target,
  stream: target,
  revocationSeconds: (value) => boundProblem('revocationSeconds', value),
  recoverySeconds: (value) => boundProblem('recoverySeconds', value),
  restart: must('a function', (value) => typeof value === 'function')
}

/** @throws {RunProblem} a member that does not exist, or one of another type */
export function requireDeclared(declared: Declared): void {
  for (const [name, value] of Object.entries(declared)) {
    const rule = Object.hasOwn(RULES, name) ? RULES[name as keyof Declared] : undefined
    if (rule === undefined)
      throw new RunProblem(`declared has the unknown member ${name}. Known: ${Object.keys(RULES).join(', ')}.`)
    const problem = value === undefined ? undefined : rule(value)
    if (problem !== undefined)
      throw new RunProblem(`declared.${name} ${problem}, and is ${String(JSON.stringify(value)).slice(0, 60)}.`)
  }
}

/** @throws {RunProblem} a feature that does not exist */
export function requireNeeds(needs: readonly Need[]): void {
  const unknown = needs.find((need) => !Object.hasOwn(WHY, need))
  if (unknown !== undefined)
    throw new RunProblem(`has names the unknown feature ${unknown}. Known: ${Object.keys(WHY).join(', ')}.`)
}

/** The features that follow from the facts. */
export function needsOf({ scopedRoutes = [], certificateField, revokedBy = [] }: Declared): readonly Need[] {
  const needs: Need[] = []
  if (scopedRoutes.length > 0) needs.push('scopes')
  if (certificateField !== undefined) needs.push('mtls')
  if (revokedBy.length > 0) needs.push('revocation')
  return needs
}
