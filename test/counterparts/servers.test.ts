/**
 * Authorization servers from npm, over HTTP, and an API whose configuration is the one that `doctor` prints or docs/profiles.md shows.
 * They are installed by `npm install --ignore-scripts --prefix .ci/counterparts`, which CI does. Without them the tests are skipped.
 */
import { existsSync } from 'node:fs'
import { afterAll, beforeAll, expect, vi } from 'vitest'
import { describeCounterpart } from '../support/counterpart-suite.js'
import type { Counterpart } from '../support/counterparts.js'

const FOLDER = new URL('../../.ci/counterparts/', import.meta.url)
const INSTALL = 'npm install --ignore-scripts --prefix .ci/counterparts'
const skip = existsSync(new URL('node_modules/.bin/cognito-local', FOLDER)) ? undefined : INSTALL

const load = (name: string) => async (): Promise<Counterpart> => {
  const { start } = await import(new URL(`servers/${name}.mjs`, FOLDER).href)
  return start()
}

// OpenAuth.js prints a line for each request.
beforeAll(() => {
  vi.spyOn(console, 'log').mockImplementation(() => undefined)
})
afterAll(() => {
  vi.restoreAllMocks()
})

describeCounterpart({
  section: 'Better Auth',
  start: load('better-auth'),
  skip,
  rotates: true,
  caller: { subject: expect.any(String), clientId: expect.any(String), scopes: ['orders:read'] }
})

describeCounterpart({
  section: 'OpenAuth.js',
  start: load('openauth'),
  skip,
  missing: /tokenProfile/,
  rotates: true,
  caller: { subject: 'web' }
})

describeCounterpart({
  section: 'cognito-local',
  start: load('cognito-local'),
  skip,
  missing: /tokenProfile/,
  finding: /jwksUri/,
  idTokens: true,
  // Its one key is a part of the program.
  rotates: false,
  caller: { subject: expect.any(String), clientId: expect.any(String), scopes: ['aws.cognito.signin.user.admin'] }
})

describeCounterpart({
  section: 'oauth2-mock-server',
  start: load('oauth2-mock-server'),
  skip,
  missing: /tokenProfile/,
  idTokens: true,
  rotates: true,
  caller: { scopes: ['orders:read'] }
})
