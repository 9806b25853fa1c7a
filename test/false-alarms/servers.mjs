// @ts-check
/**
 * The servers of `npm run false-alarms`: APIs that other people's libraries and proxies protect, each configured as its documentation
 * says. Each trusts the issuer of the suite, and is started on a port that the runner chose.
 *
 * Does NOT harden them: a server with more than its documentation shows would hide false alarms and findings alike.
 */

import { spawnSync } from 'node:child_process'
import { chmodSync, existsSync, mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { createFolder, run } from '../counterparts/servers/process.mjs'
import { freePort } from '../support/ports.mjs'

/**
 * The settings that each server gets.
 *
 * @typedef {{ issuer: string, audience: string, port: number }} Place
 */
/**
 * @typedef {object} Server
 * @property {string} name
 * @property {string} [path] of the protected route. Default `/orders`
 * @property {true} [needsTls] its documentation demands https of the issuer
 * @property {true} [isOurs] made of this package: the control
 * @property {() => string | undefined} missing what must be installed first
 * @property {(place: Place) => Promise<{ close: () => Promise<void> }>} start
 */

const root = fileURLToPath(new URL('../../', import.meta.url))
const programs = fileURLToPath(new URL('programs/', import.meta.url))
const MODULES = '/usr/lib/apache2/modules'

/** @param {string} path @param {string} name */
const needs = (path, name) => () => (existsSync(path) ? undefined : name)

/** @param {Place} place @param {Record<string, string>} [more] */
function environment({ issuer, audience, port }, more = {}) {
  return { ISSUER: issuer, AUDIENCE: audience, PORT: String(port), NODE_ENV: 'production', ...more }
}

/**
 * Runs a program that ends with the server, and starts it again if it ended itself: one request that ends it must not hide the answers
 * to the others. @param {Place} place @param {string} command @param {string[]} args @param {Record<string, string>} [env]
 */
function program(place, command, args, env) {
  const folder = createFolder('false-alarms')
  const again = ['-c', 'tries=0; while [ $tries -lt 50 ]; do "$@"; tries=$((tries + 1)); sleep 0.1; done', 'sh']
  return run({
    command: 'sh',
    args: [...again, command, ...args],
    folder,
    url: `http://127.0.0.1:${place.port}/`,
    env: environment(place, env)
  })
}

/** A server of the main package.json. @param {string} name @param {string} [path] @returns {Server} */
function node(name, path) {
  return {
    name,
    ...(path !== undefined && { path }),
    missing: () => undefined,
    start: (place) => program(place, process.execPath, [join(programs, `${name}.mjs`)])
  }
}

const betterAuth = join(root, '.ci/counterparts/node_modules/@better-auth/oauth-provider')

/** @type {Server} */
const betterAuthApi = {
  name: 'better-auth',
  missing: needs(betterAuth, 'npm install --ignore-scripts --prefix .ci/counterparts'),
  start: (place) => program(place, process.execPath, [join(root, '.ci/counterparts/servers/better-auth-api.mjs')])
}

/** @param {string} name @param {Record<string, string>} env @returns {Server} */
function authlib(name, env) {
  return {
    name,
    missing: needs('/usr/lib/python3/dist-packages/authlib', 'python3-authlib python3-flask'),
    start: (place) => program(place, '/usr/bin/python3', [join(programs, 'authlib_api.py')], env)
  }
}

/** @type {Server} */
const goOidc = {
  name: 'go-oidc',
  missing: needs('/usr/share/gocode/src/github.com/coreos/go-oidc', 'golang-go golang-github-coreos-go-oidc-dev'),
  start: async (place) => {
    const folder = createFolder('false-alarms')
    const binary = join(folder, 'api')
    const env = { ...process.env, GO111MODULE: 'off', GOPATH: '/usr/share/gocode', GOFLAGS: '' }
    const built = spawnSync('go', ['build', '-o', binary, join(programs, 'go-oidc.go')], { env, encoding: 'utf8' })
    if (built.status !== 0) throw new Error(`go build: ${built.stderr}`)
    return program(place, binary, [])
  }
}

/**
 * Apache httpd with one module. @param {string} name @param {string} module @param {string} debian
 * @param {(place: Place) => string} server @param {(place: Place) => string} location @returns {Server}
 */
function apache(name, module, debian, server, location) {
  return {
    name,
    missing: needs(join(MODULES, `mod_${module}.so`), debian),
    start: (place) => {
      const folder = createFolder('false-alarms')
      // The workers of httpd are www-data, who reads the folder.
      chmodSync(folder, 0o755)
      mkdirSync(join(folder, 'www'))
      writeFileSync(join(folder, 'www/orders'), '[]')
      const modules = ['mpm_event', 'authn_core', 'authz_core', 'authz_user', module]
      const text = [
        `ServerRoot ${folder}`,
        `PidFile ${folder}/pid`,
        `DefaultRuntimeDir ${folder}`,
        'ServerName localhost',
        `Listen 127.0.0.1:${place.port}`,
        'User www-data',
        'Group www-data',
        `ErrorLog ${folder}/error.log`,
        ...modules.map((one) => `LoadModule ${one}_module ${MODULES}/mod_${one}.so`),
        server(place),
        `DocumentRoot ${folder}/www`,
        `<Location /orders>\n${location(place)}\n</Location>`
      ].join('\n')
      writeFileSync(join(folder, 'httpd.conf'), `${text}\n`)
      const args = ['-f', join(folder, 'httpd.conf'), '-DFOREGROUND']
      return run({ command: 'apache2', args, folder, url: `http://127.0.0.1:${place.port}/` })
    }
  }
}

/** @param {(place: Place) => string} verify @param {string} name */
function modOauth2(name, verify) {
  return apache(
    name,
    'oauth2',
    'apache2 libapache2-mod-oauth2',
    () => '',
    (place) =>
      `AuthType oauth2\nOAuth2TokenVerify ${verify(place)}\n<RequireAll>\nRequire oauth2_claim iss:${place.issuer}\nRequire oauth2_claim aud:${place.audience}\n</RequireAll>`
  )
}

/** @param {string} name @param {(place: Place) => string} settings */
function modAuthOpenidc(name, settings) {
  const always =
    'OIDCCryptoPassphrase a-passphrase-of-this-test\nOIDCSSLValidateServer Off\nOIDCOAuthSSLValidateServer Off'
  const server = apache(
    name,
    'auth_openidc',
    'apache2 libapache2-mod-auth-openidc',
    (place) => `${settings(place)}\n${always}`,
    ({ issuer, audience }) =>
      `AuthType oauth20\n<RequireAll>\nRequire claim iss:${issuer}\nRequire claim aud:${audience}\n</RequireAll>`
  )
  return { ...server, needsTls: /** @type {const} */ (true) }
}

/** @param {string} name @param {boolean} isBehindNginx @returns {Server} */
function ours(name, isBehindNginx) {
  return {
    name,
    isOurs: true,
    missing: isBehindNginx ? needs('/usr/sbin/nginx', 'nginx') : () => undefined,
    start: async (place) => {
      if (!isBehindNginx) return program(place, process.execPath, [join(programs, 'ours.mjs')])
      const port = await freePort()
      const api = await program({ ...place, port }, process.execPath, [join(programs, 'ours.mjs')], {
        AUTH_REQUEST: 'yes'
      })
      const nginx = await startNginx(place.port, port)
      return { close: async () => void (await Promise.all([nginx.close(), api.close()])) }
    }
  }
}

/** @param {number} port @param {number} api */
async function startNginx(port, api) {
  const folder = createFolder('false-alarms')
  chmodSync(folder, 0o755)
  mkdirSync(join(folder, 'www'))
  writeFileSync(join(folder, 'www/orders'), '[]')
  const text = `
daemon off; pid ${folder}/pid; error_log ${folder}/error.log; worker_processes 1;
events {}
http {
  access_log off; server_tokens off;
  client_body_temp_path ${folder}; proxy_temp_path ${folder}; fastcgi_temp_path ${folder}; uwsgi_temp_path ${folder};
  scgi_temp_path ${folder};
  server {
    listen 127.0.0.1:${port};
    root ${folder}/www;
    location = /orders {
      auth_request /auth;
      auth_request_set $retry $upstream_http_retry_after;
      error_page 500 =503 @unavailable;
      add_header Cache-Control no-store always;
      default_type application/json;
    }
    location @unavailable {
      add_header Retry-After $retry always;
      add_header Cache-Control no-store always;
      return 503;
    }
    location /.well-known/oauth-protected-resource { proxy_pass http://127.0.0.1:${api}; proxy_set_header Host $http_host; }
    location = /auth {
      internal;
      proxy_pass http://127.0.0.1:${api}/orders;
      proxy_pass_request_body off;
      proxy_set_header Content-Length "";
      proxy_set_header Host $http_host;
    }
  }
}
`
  writeFileSync(join(folder, 'nginx.conf'), text)
  const args = ['-p', folder, '-c', join(folder, 'nginx.conf'), '-e', join(folder, 'error.log')]
  return run({ command: 'nginx', args, folder, url: `http://127.0.0.1:${port}/` })
}

/** @type {readonly Server[]} */
export const SERVERS = [
  ours('ours', false),
  ours('ours-nginx', true),
  node('mcp-sdk', '/mcp'),
  node('express-oauth2-jwt-bearer'),
  node('oauth4webapi'),
  node('express-jwt'),
  node('fastify-jwt'),
  node('koa-jwt'),
  node('passport-jwt'),
  node('hono-jwk'),
  betterAuthApi,
  modOauth2(
    'mod_oauth2',
    ({ issuer }) => `metadata ${issuer}/.well-known/oauth-authorization-server metadata.ssl_verify=false`
  ),
  modOauth2(
    'mod_oauth2-introspection',
    ({ issuer }) =>
      `introspect ${issuer}/introspect introspect.auth=client_secret_basic&client_id=api&client_secret=secret`
  ),
  modAuthOpenidc('mod_auth_openidc', ({ issuer }) => `OIDCOAuthVerifyJwksUri ${issuer}/keys`),
  modAuthOpenidc(
    'mod_auth_openidc-introspection',
    ({ issuer }) =>
      `OIDCOAuthIntrospectionEndpoint ${issuer}/introspect\nOIDCOAuthClientID api\nOIDCOAuthClientSecret secret`
  ),
  authlib('authlib', {}),
  authlib('authlib-introspection', { INTROSPECT: 'yes' }),
  goOidc
]
