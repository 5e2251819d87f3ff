import assert from 'node:assert/strict'
import { test } from 'node:test'
import { classifyAddress, formatAddress, parseAddress, parseRange, type Address, type Range } from './address-ranges.ts'

const address = (text: string): Address => parseAddress(text) ?? assert.fail(`not an address: ${text}`)
const range = (text: string): Range => parseRange(text) ?? assert.fail(`not a range: ${text}`)
const judge = (text: string, allowed: string[] = [], own: string[] = []): string =>
  classifyAddress(address(text), { allowed: allowed.map(range), own: own.map(address) }).action

const refused = `
  0.0.0.0 0.255.255.255 10.0.0.0 10.255.255.255 100.64.0.0 100.100.100.200 100.127.255.255 127.0.0.1 127.255.255.255
  168.63.129.16 169.254.0.0 169.254.169.254 169.254.255.255 172.16.0.0 172.31.255.255 192.0.0.0 192.0.0.192 192.0.0.255
  192.0.2.0 192.0.2.255 192.88.99.0 192.88.99.255 192.168.0.0 192.168.255.255 198.18.0.0 198.19.255.255 198.51.100.0
  198.51.100.255 203.0.113.0 203.0.113.255 224.0.0.0 239.255.255.255 240.0.0.0 255.255.255.255
  :: ::1 ::2 ::127.0.0.1 ::8.8.8.8 ::ffff:127.0.0.1 ::ffff:10.0.0.1 ::ffff:a9fe:a9fe ::ffff:0:7f00:1 ::ffff:0:192.168.1.1
  64:ff9b::a9fe:a9fe 64:ff9b::10.1.2.3 64:ff9b:1:: 64:ff9b:1:ffff:ffff:ffff:ffff:ffff 64:ff9b:1::8.8.8.8
  64:ff9b::1:8.8.8.8 100:: 100::ffff:ffff:ffff:ffff 2001:: 2001:0:4136:e378:8000:63bf:3fff:fdd2 2001:1ff:ffff::1
  2001:db8:: 2001:db8:ffff:ffff:ffff:ffff:ffff:ffff 2002:a9fe:a9fe:: 2002:7f00:1::1 2002:c0a8:101:: 2002:a00:1::
  3fff:: 3fff:fff:ffff::1 5f00:: 5f00:ffff::1 fc00:: fd00:ec2::254 fdff:ffff::1 fe80::1 febf::1 fec0::1 feff::1 ff00::
  ff02::1 ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff 4000::1 1fff::1 64:ff9c::1 8000::1`
const open = `
  1.0.0.0 1.1.1.1 8.8.8.8 9.255.255.255 11.0.0.0 100.63.255.255 100.128.0.0 126.255.255.255 128.0.0.0 168.63.129.15
  168.63.129.17 169.253.255.255 169.255.0.0 172.15.255.255 172.32.0.0 191.255.255.255 192.0.1.0 192.0.1.255 192.0.3.0
  192.88.98.255 192.88.100.0 192.167.255.255 192.169.0.0 198.17.255.255 198.20.0.0 198.51.99.255 198.51.101.0
  203.0.112.255 203.0.114.0 223.255.255.255
  2000:: 2001:200::1 2001:4860:4860::8888 2001:db7:ffff::1 2001:db9::1 2003::1 2606:4700:4700::1111 3ffe::1
  3fff:1000::1 ::ffff:8.8.8.8 ::ffff:0:8.8.8.8 64:ff9b::8.8.8.8 2002:808:808::1`

const words = (text: string): string[] => text.trim().split(/\s+/)
for (const text of words(refused)) test(`${text} is refused`, () => assert.equal(judge(text), 'refuse'))
for (const text of words(open)) test(`${text} is public`, () => assert.equal(judge(text), 'allow'))

test("the operator's ranges win, in whatever form the address comes, and end where they end", () => {
  const allowed = ['10.1.0.0/16', '127.0.0.1', 'fd00:1::/32']
  for (const text of words('10.1.0.0 10.1.255.255 127.0.0.1 ::ffff:10.1.2.3 64:ff9b::10.1.2.3 fd00:1::9'))
    assert.equal(judge(text, allowed), 'allow', text)
  for (const text of words('10.0.255.255 10.2.0.0 127.0.0.2 ::ffff:10.2.0.0 fd00:2::1 ::1'))
    assert.equal(judge(text, allowed), 'refuse', text)
})

test('own addresses are refused although they are public, unless the operator allowed them', () => {
  assert.equal(judge('9.9.9.9', [], ['9.9.9.9']), 'refuse')
  assert.equal(judge('::ffff:9.9.9.9', [], ['9.9.9.9']), 'refuse')
  assert.equal(judge('2606:4700::1', [], ['2606:4700::1']), 'refuse')
  assert.equal(judge('9.9.9.9', ['9.9.9.9/32'], ['9.9.9.9']), 'allow')
})

for (const text of words(`
  1.2.3 1.2.3.4.5 256.1.1.1 01.2.3.4 1.2.3.4. 1..2.3 ::: :::1 1::2::3 1:2:3:4:5:6:7 1:2:3:4:5:6:7:8:9 1:2:3:4:5:6:7:8::
  12345::1 g::1 ::1%lo [::1] ::1.2.3 1.2.3.4::1 ::1.2.3.4:5 1:`))
  test(`${text} is not an address`, () => assert.equal(parseAddress(text), undefined))

for (const text of words('10.0.0.0/33 10.0.0.1/8 10.0.0.0/ 10.0.0.0/08 10.0.0.0/8/8 /8 fd00::1/16 fd00::/129 x/8'))
  test(`${text} is not a range`, () => assert.equal(parseRange(text), undefined))

test('an address has one text', () => {
  const same = {
    '2001:0DB8:0:0:1:0:0:1': '2001:db8::1:0:0:1',
    '0:0:0:0:0:0:0:0': '::',
    '::FFFF:1.2.3.4': '::ffff:102:304',
  }
  for (const [text, canonical] of Object.entries(same)) assert.equal(formatAddress(address(text)), canonical)
  for (const text of words('1:0:3:4:5:6:7:8 ::1 fe80:: 10.20.30.40')) assert.equal(formatAddress(address(text)), text)
})
