import assert from 'node:assert/strict'
import { X509Certificate } from 'node:crypto'
import { mkdtemp, rm, stat, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import { testAuthority } from './authority.fixture.ts'
import { namesOf, serverCertificate } from './certificates.ts'
import type { CertificateSource } from './certificates.ts'

let source: CertificateSource
before(async () => {
  const authority = await testAuthority()
  source = {
    directory: await mkdtemp(join(tmpdir(), 'slopbox-certificates-')),
    authority: authority.certificate,
    authorityKey: authority.key,
    names: namesOf('slopbox.localhost'),
    now: () => new Date('2027-01-01T00:00:00Z'),
  }
})
after(() => rm(source.directory, { recursive: true }))

test('the certificate is of the authority and holds for every origin, by name and address', async () => {
  const { cert, key } = await serverCertificate(source)
  const leaf = new X509Certificate(cert)
  const authority = new X509Certificate(source.authority)
  assert.ok(leaf.checkIssued(authority))
  assert.ok(leaf.verify(authority.publicKey))
  assert.equal(leaf.ca, false)
  for (const name of ['slopbox.localhost', 'x.slopbox.localhost', 'x.agent.slopbox.localhost', 'localhost'])
    assert.ok(leaf.checkHost(name), name)
  assert.equal(leaf.checkHost('x.y.slopbox.localhost'), undefined)
  for (const address of ['127.0.0.1', '::1']) assert.ok(leaf.checkIP(address), address)
  assert.equal((await stat(join(source.directory, 'tls.json'))).mode & 0o777, 0o600)
  assert.match(key, /BEGIN PRIVATE KEY/)
})

test('it is kept between starts and renewed a month before its end', async () => {
  const first = await serverCertificate(source)
  assert.equal((await serverCertificate(source)).cert, first.cert)
  const nearEnd = { ...source, now: () => new Date('2027-03-15T00:00:00Z') }
  const renewed = await serverCertificate(nearEnd)
  assert.notEqual(renewed.cert, first.cert)
  assert.equal((await serverCertificate(nearEnd)).cert, renewed.cert)
})

test('another name, another authority or a broken file gives a new one', async () => {
  const first = await serverCertificate(source)
  assert.notEqual((await serverCertificate({ ...source, names: namesOf('other.example') })).cert, first.cert)
  await writeFile(join(source.directory, 'tls.json'), '{"cert":')
  assert.match((await serverCertificate(source)).cert, /BEGIN CERTIFICATE/)
})

test('a key that is not of the authority stops the start with the reason', async () => {
  const other = await testAuthority()
  const names = ['fresh.example']
  await assert.rejects(serverCertificate({ ...source, names, authorityKey: other.key }), /does not belong/)
})
