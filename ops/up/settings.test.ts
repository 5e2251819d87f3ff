import assert from 'node:assert/strict'
import { test } from 'node:test'
import { ConfigError } from '../../lib/config.ts'
import { OpsError } from '../say.ts'
import { readUpSettings } from './settings.ts'

test('without flags everything has a default', () => {
  const settings = readUpSettings([], { HOME: '/root' })
  assert.equal(settings.port, null)
  assert.equal(settings.domain, null)
  assert.equal(settings.egressListen, null)
  assert.equal(settings.build, true)
  assert.equal(settings.driver, 'oci')
  assert.match(settings.data, /\/\.slopbox$/)
  assert.deepEqual(settings.oauth, {})
})

for (const [args, told] of [
  [['--prot', '3'], /Unknown option '--prot'/],
  [['extra'], /extra/],
  [['--port', '65536'], /--port 65536/],
  [['--port', '-1'], /port/],
  [['--port', 'http'], /--port http/],
  [['--port'], /argument missing/],
  [['--domain', 'UPPER.example'], /--domain UPPER\.example/],
  [['--domain', 'a..b'], /--domain a\.\.b/],
  [['--domain', 'x'.repeat(201)], /lower-case host name/],
  [['--listen', 'localhost'], /--listen localhost is not an IP address/],
  [['--egress-listen', '3129'], /--egress-listen 3129 is not an IP address with a port/],
  [['--egress-listen', 'localhost:3129'], /--egress-listen localhost:3129/],
  [['--egress-listen', '10.0.0.5'], /--egress-listen 10\.0\.0\.5/],
  [['--egress-listen', '10.0.0.5:0'], /--egress-listen 10\.0\.0\.5:0/],
  [['--egress-listen', '10.0.0.5:65536'], /--egress-listen 10\.0\.0\.5:65536/],
  [['--egress-listen', '2001:db8::1:3129'], /--egress-listen 2001:db8::1:3129/],
] as const) {
  test(`up ${args.join(' ').slice(0, 40)} is refused by name`, () => {
    assert.throws(
      () => readUpSettings(args, {}),
      (error) => error instanceof OpsError && told.test(error.message) && error.hint !== null,
    )
  })
}

test('unknown and wrong variables are refused together, by name', () => {
  const env = { SLOPBOX_LOGLEVEL: 'debug', SLOPBOX_DRIVER: 'dokcer', PATH: '/bin' }
  assert.throws(
    () => readUpSettings([], env),
    (error) =>
      error instanceof ConfigError && /SLOPBOX_LOGLEVEL/.test(error.message) && /SLOPBOX_DRIVER/.test(error.message),
  )
})

test('half an OAuth provider is refused, a whole one is passed on', () => {
  assert.throws(() => readUpSettings([], { SLOPBOX_GITHUB_CLIENT_ID: 'a' }), /SLOPBOX_GITHUB_CLIENT_SECRET is not/)
  const both = { SLOPBOX_GITHUB_CLIENT_ID: 'a', SLOPBOX_GITHUB_CLIENT_SECRET: 'b' }
  assert.deepEqual(readUpSettings([], both).oauth, both)
})

test('DATABASE_URL replaces the embedded server and must be an address', () => {
  assert.equal(readUpSettings([], { DATABASE_URL: 'postgres://u@h/d' }).databaseUrl, 'postgres://u@h/d')
  assert.equal(readUpSettings([], { DATABASE_URL: '' }).databaseUrl, null)
  assert.throws(() => readUpSettings([], { DATABASE_URL: 'mysql://x' }), OpsError)
})

test("the machine's proxy and trust settings are passed on, nothing else is", () => {
  const env = { https_proxy: 'http://proxy:3128', SSL_CERT_FILE: '/ca.pem', AWS_SECRET_ACCESS_KEY: 'x' }
  assert.deepEqual(readUpSettings([], env).machine, { https_proxy: 'http://proxy:3128', SSL_CERT_FILE: '/ca.pem' })
})

test('the proxy for machines elsewhere is a flag or a variable, the flag goes first', () => {
  const env = { SLOPBOX_EGRESS_CENTRAL_LISTEN: '0.0.0.0:3129', SLOPBOX_EGRESS_CENTRAL_URL: 'http://10.0.0.5:3129' }
  const { egressListen, egressUrl } = readUpSettings([], env)
  assert.deepEqual([egressListen, egressUrl], ['0.0.0.0:3129', 'http://10.0.0.5:3129'])
  assert.equal(readUpSettings(['--egress-listen', 'off'], env).egressListen, 'off')
  assert.equal(readUpSettings([], {}).egressUrl, null)
})

for (const text of ['10.0.0.5:3129', '0.0.0.0:1', '[2001:db8::1]:65535', 'off'])
  test(`--egress-listen ${text} is taken as it is`, () => {
    assert.equal(readUpSettings(['--egress-listen', text], {}).egressListen, text)
  })
