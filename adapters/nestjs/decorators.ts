/** Decorators of classes and methods. Each brings the guard, for apps and gateways without the global one. */
import { UseFilters, UseGuards } from '@nestjs/common'
import { type Requirement, roles } from '../../src/index.js'
import { AccessTokenGuard, RefusalFilter } from './guard.js'
import { type Declared, declareAt, isDeclared, PUBLIC } from './rules.js'

/**
 * A handler, or all handlers of a class, need a valid token that satisfies these requirements, and those of the class as
 * well. Invalid requirements stop the start of the application.
 *
 * ```ts
 * @Protect(scope('orders:read'))
 * ```
 */
export function Protect(...requirements: readonly Requirement[]): ClassDecorator & MethodDecorator {
  return decorator(requirements)
}

/**
 * Requires all of these roles: `@Protect(roles(…))`. For one of several, write `@Protect(anyRole(…))`.
 *
 * @throws {TypeError} at once, without a role, or for a role that is empty or not a string
 */
export function Roles(...names: string[]): ClassDecorator & MethodDecorator {
  return decorator([roles(...names)])
}

/** A handler, or all handlers of a class without requirements of their own, need no token. */
export function Public(): ClassDecorator & MethodDecorator {
  return (target: object, name?: string | symbol, descriptor?: PropertyDescriptor) =>
    declareAt([PUBLIC], target, name, descriptor)
}

function decorator(declared: Declared): ClassDecorator & MethodDecorator {
  return (target: object, name?: string | symbol, descriptor?: PropertyDescriptor) => {
    const place: object = descriptor?.value ?? target
    // Each of `@Protect()` and `@Roles()` on one place would add the guard again.
    if (!isDeclared(place))
      for (const apply of [UseGuards(AccessTokenGuard), UseFilters(RefusalFilter)])
        apply(target as never, name as never, descriptor as never)
    declareAt(declared, target, name, descriptor)
  }
}
