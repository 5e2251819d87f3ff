import assert from 'node:assert/strict'
import { test } from 'node:test'
import { refuseLaxParsing } from './startup-guard.ts'

const bad: [string[], Record<string, string>][] = [
  [['--insecure-http-parser'], {}],
  [['--insecure_http_parser'], {}],
  [[], { NODE_OPTIONS: '--no-warnings --insecure-http-parser' }],
  [[], { NODE_OPTIONS: '--max-http-header-size=999999' }],
  [['--tls-min-v1.0'], {}],
  [['--inspect-brk=0'], {}],
  [[], { NODE_TLS_REJECT_UNAUTHORIZED: '0' }],
  [[], { SSLKEYLOGFILE: '/tmp/x' }],
]
for (const [flags, env] of bad)
  test(`${flags.join(' ')} ${JSON.stringify(env)} stops the start`, () =>
    assert.throws(() => refuseLaxParsing(flags, env), /must not be set/))

test('an ordinary start is let through', () => {
  refuseLaxParsing(['--disable-warning=ExperimentalWarning'], { NODE_OPTIONS: '--no-warnings', PATH: '/bin' })
})
