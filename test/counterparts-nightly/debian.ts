/** Authorization servers from Debian, each in a process of its own on a loopback port: see test/counterparts/servers. */
import { existsSync } from 'node:fs'
import { expect, onTestFinished, test } from 'vitest'
import { describeCounterpart } from '../support/counterpart-suite.js'
import { type Counterpart, documented, refused, startApi } from '../support/counterparts.js'

const load = (name: string) => async (): Promise<Counterpart> => {
  const { start } = await import(new URL(`../counterparts/servers/${name}/server.mjs`, import.meta.url).href)
  return start()
}

/** @returns why the server cannot run, if its packages, which have this file, are not installed */
const needs = (file: string): string | undefined => (existsSync(file) ? undefined : 'npm run counterparts -- --install')

const noGlewlwyd = needs('/usr/bin/glewlwyd')
describeCounterpart({
  section: 'Glewlwyd',
  start: load('glewlwyd'),
  skip: noGlewlwyd,
  revokes: true,
  rotates: true,
  caller: { subject: 'service', clientId: 'service', scopes: ['orders:read'] }
})

test.skipIf(noGlewlwyd !== undefined)(
  'refuses a revoked token of Glewlwyd by signed introspection, to which the server answers 400 without a body',
  async () => {
    const server = await load('glewlwyd')()
    onTestFinished(() => server.close())
    const plain = documented('Glewlwyd', server)
    const api = await startApi(plain.replace('introspection: {', 'introspection: { signedResponse: true,'), server)
    onTestFinished(() => api.close())
    const token = await server.token()
    expect(await api.ask(token, '/fresh')).toMatchObject({ status: 200 })
    await server.revoke?.(token)
    // Only the answer to another token shows that the 400 is not about the API's credentials.
    expect(await api.ask(await server.token(), '/fresh')).toMatchObject({ status: 200 })
    expect(await api.ask(token, '/fresh')).toEqual(refused('The access token is not active'))
  }
)

const noDjango = needs('/usr/lib/python3/dist-packages/oauth2_provider/__init__.py')
describeCounterpart({
  section: 'django-oauth-toolkit',
  start: load('django-oauth-toolkit'),
  skip: noDjango,
  missing: /`introspection`/,
  // The place of the metadata redirects to one with a slash.
  finding: /301/,
  separates: false,
  revokes: true,
  caller: { clientId: 'service', scopes: ['orders:read'] }
})

test.skipIf(noDjango !== undefined)(
  'refuses a token of django-oauth-toolkit if allowMissingAudience is left out',
  async () => {
    const server = await load('django-oauth-toolkit')()
    onTestFinished(() => server.close())
    const strict = documented('django-oauth-toolkit', server).replace('allowMissingAudience: true', '')
    const api = await startApi(strict, server)
    onTestFinished(() => api.close())
    expect(await api.ask(await server.token())).toEqual(refused('The access token audience is not accepted'))
  }
)

describeCounterpart({
  section: 'LemonLDAP::NG',
  start: load('lemonldap-ng'),
  skip: needs('/usr/share/perl5/Lemonldap/NG/Portal/Main.pm'),
  missing: /tokenProfile/,
  revokes: true,
  // It publishes no key but the one that signs.
  rotates: false,
  caller: { subject: 'service', clientId: 'service', scopes: ['orders:read'] }
})

describeCounterpart({
  section: 'Doorkeeper',
  start: load('doorkeeper'),
  skip: needs('/usr/share/doc/ruby-doorkeeper'),
  missing: /`introspection`/,
  revokes: true,
  caller: { clientId: 'service', scopes: ['orders:read'] }
})
