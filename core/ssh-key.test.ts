import assert from 'node:assert/strict'
import { test } from 'node:test'
import { parsePublicKey } from './ssh-key.ts'

/** A key's line from its fields. */
function line(type: string, ...fields: readonly (string | Uint8Array)[]): string {
  const parts = [type, ...fields].flatMap((field) => {
    const bytes = Buffer.from(field)
    const length = Buffer.alloc(4)
    length.writeUInt32BE(bytes.length)
    return [length, bytes]
  })
  return `${type} ${Buffer.concat(parts).toString('base64')}`
}
const modulus = (bits: number): Buffer => Buffer.concat([Buffer.from([0, 0x80]), Buffer.alloc(bits / 8 - 1, 1)])
const point = (bytes: number): Buffer => Buffer.concat([Buffer.from([4]), Buffer.alloc(bytes - 1, 7)])

test('keys of the types that can be verified are read', () => {
  // Made with `ssh-keygen -t ed25519`.
  const real = 'ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIGPMJ25oRdRH9Oiqg5uFtkx8LmbFzNgbZZjiCUkaP4we ada at home'
  const read = parsePublicKey(`  ${real}\n`)
  assert.ok(read.ok)
  assert.deepEqual([read.key.type, read.key.blob.length, read.key.comment], ['ssh-ed25519', 51, 'ada at home'])
  for (const text of [
    line('ecdsa-sha2-nistp256', 'nistp256', point(65)),
    line('ecdsa-sha2-nistp384', 'nistp384', point(97)),
    line('ecdsa-sha2-nistp521', 'nistp521', point(133)),
    line('ssh-rsa', Buffer.from([1, 0, 1]), modulus(2048)),
  ])
    assert.ok(parsePublicKey(text).ok, text)
})

test('what is not a usable public key is refused with the reason', () => {
  const cases: readonly [string, RegExp][] = [
    ['-----BEGIN OPENSSH PRIVATE KEY-----\nAAAA\n', /private key/],
    ['hello', /type and base64/],
    [`${line('ssh-ed25519', Buffer.alloc(32))}\n${line('ssh-ed25519', Buffer.alloc(32))}`, /one line/],
    [`command="id" ${line('ssh-ed25519', Buffer.alloc(32))}`, /must begin with/],
    [line('ssh-dss', Buffer.alloc(20)), /must begin with/],
    ['ssh-ed25519 !!!!', /not base64/],
    [line('ssh-ed25519', Buffer.alloc(31)), /32 bytes/],
    [line('ssh-ed25519', Buffer.alloc(32), Buffer.alloc(1)), /32 bytes/],
    [line('ssh-rsa', Buffer.from([1, 0, 1]), modulus(1024)), /RSA of 1024 bits, at least 2048/],
    [line('ssh-rsa', Buffer.from([1, 0, 1])), /fields/],
    [line('ecdsa-sha2-nistp256', 'nistp384', point(65)), /curve nistp256/],
    [line('ecdsa-sha2-nistp256', 'nistp256', Buffer.alloc(65, 2)), /point/],
    [line('ssh-ed25519', Buffer.alloc(32)).replace('ssh-ed25519 ', 'ssh-rsa '), /something else inside/],
    [`ssh-ed25519 ${Buffer.from([0, 0, 0, 90, 1]).toString('base64')}`, /cut off/],
  ]
  for (const [text, why] of cases) {
    const read = parsePublicKey(text)
    assert.ok(!read.ok, text)
    assert.match(read.why, why)
  }
})
