import assert from 'node:assert/strict'
import { createPrivateKey, X509Certificate } from 'node:crypto'
import { test } from 'node:test'
import { createAuthority } from './authorities.ts'

test('an authority signs itself, may sign servers but no authority, and lasts about ten years', async () => {
  const now = new Date('2026-11-21T12:00:00Z')
  const { certificate, key } = await createAuthority('Slopbox test CA', now)
  const parsed = new X509Certificate(certificate)
  assert.equal(parsed.ca, true)
  assert.equal(parsed.subject, 'CN=Slopbox test CA\nO=Slopbox')
  assert.equal(parsed.verify(parsed.publicKey), true)
  assert.equal(parsed.checkPrivateKey(createPrivateKey(key)), true)
  assert.ok(parsed.validFromDate < now)
  assert.equal(parsed.validToDate.getUTCFullYear(), 2036)
  // basicConstraints CA:TRUE, pathlen:0 in DER (RFC 5280 §4.2.1.9), critical.
  assert.ok(parsed.raw.includes(Buffer.from('0603551d130101ff040830060101ff020100', 'hex')))
})

test('two authorities have different keys', async () => {
  const [a, b] = await Promise.all([createAuthority('a', new Date()), createAuthority('b', new Date())])
  assert.notEqual(a.key, b.key)
})
