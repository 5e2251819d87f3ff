import assert from 'node:assert/strict'
import { test } from 'node:test'
import { OpsError } from '../say.ts'
import { chooseSubnet, overlaps } from './subnet.ts'

for (const [a, b, expected] of [
  ['10.1.0.0/16', '10.1.255.255', true],
  ['10.1.0.0/16', '10.2.0.0/16', false],
  ['10.0.0.0/8', '10.213.0.0/16', true],
  ['10.213.4.1/31', '10.213.0.0/16', true],
  ['0.0.0.0/0', '192.168.1.1', true],
  ['255.255.255.255', '255.255.255.254/31', true],
  ['172.16.0.0/12', '172.32.0.0/16', false],
] as const) {
  test(`${a} and ${b} ${expected ? 'overlap' : 'do not overlap'}`, () => {
    assert.equal(overlaps(a, b), expected)
    assert.equal(overlaps(b, a), expected)
  })
}

test('the range of the sandboxes avoids every route of the machine', () => {
  assert.equal(chooseSubnet([], 0), '10.128.0.0/16')
  assert.equal(chooseSubnet(['10.128.3.0/24', '10.129.0.0/16'], 0), '10.130.0.0/16')
  assert.equal(chooseSubnet(['10.254.0.1'], 126), '10.128.0.0/16')
  assert.equal(chooseSubnet(['10.0.0.0/8', '172.16.0.0/15'], 5), '172.18.0.0/16')
})

test('a machine that routes every private range is told so', () => {
  assert.throws(() => chooseSubnet(['10.0.0.0/8', '172.16.0.0/12'], 0), OpsError)
})
