import assert from 'node:assert/strict'
import { test } from 'node:test'
import { decide, findAlias, nameIsKnown, secretsFor } from './egress-policy.ts'
import { parseHost, type Host } from './host-name.ts'

const host = (text: string): Host => {
  const result = parseHost(text)
  assert.ok(result.ok, text)
  return result.host
}
const rule = (pattern: string, port: number | null = null) => ({
  id: `${pattern}:${port ?? ''}`,
  host: pattern,
  port,
  allowReserved: false,
})

// rule, port of the rule, asked host, asked port, allowed
const table: [string, number | null, string, number, boolean][] = [
  ['example.com', null, 'example.com', 443, true],
  ['example.com', null, 'EXAMPLE.com.', 80, true],
  ['example.com', null, 'example.com', 8080, false],
  ['example.com', 8080, 'example.com', 8080, true],
  ['example.com', 8080, 'example.com', 443, false],
  ['example.com', null, 'www.example.com', 443, false],
  ['example.com', null, 'example.com.evil.net', 443, false],
  ['example.com', null, 'notexample.com', 443, false],
  ['*.example.com', null, 'example.com', 443, false],
  ['*.example.com', null, 'a.example.com', 443, true],
  ['*.example.com', null, 'a.b.c.example.com', 443, true],
  ['*.example.com', null, 'aexample.com', 443, false],
  ['*.example.com', null, 'a.example.com.evil.net', 443, false],
  ['*.example.com', 22, 'a.example.com', 22, true],
  ['*.example.com', 22, 'a.example.com', 443, false],
  ['127.0.0.1', 4100, '127.0.0.1', 4100, true],
  ['127.0.0.1', 4100, '2130706433', 4100, true],
  ['127.0.0.1', 4100, '127.0.0.2', 4100, false],
  ['2606:4700::1', null, '[2606:4700:0:0:0:0:0:1]', 443, true],
  ['*.0.0.1', null, '127.0.0.1', 443, false],
  ['*.1', null, '127.1', 443, false],
  ['*.', null, 'example.com', 443, false],
  ['', null, 'example.com', 443, false],
]
for (const [pattern, port, asked, askedPort, allowed] of table)
  test(`a rule for "${pattern}" port ${port ?? 'default'} ${allowed ? 'allows' : 'does not allow'} ${asked}:${askedPort}`, () => {
    const decision = decide(
      { rules: [rule('other.test'), rule(pattern, port)] },
      { host: host(asked), port: askedPort },
    )
    assert.equal(decision.action, allowed ? 'allow' : 'deny')
    assert.equal(decision.reason, allowed ? null : 'no_rule')
  })

test('no policy and no rules both deny, for different reasons', () => {
  const to = { host: host('example.com'), port: 443 }
  assert.equal(decide(undefined, to).reason, 'no_policy')
  assert.equal(decide({ rules: [] }, to).reason, 'no_rule')
})

test('an exact rule is named before a wildcard', () => {
  const rules = [rule('*.example.com'), rule('a.example.com')]
  assert.equal(decide({ rules }, { host: host('a.example.com'), port: 443 }).rule?.host, 'a.example.com')
})

test('names are known by any port and by alias, addresses never', () => {
  const policy = {
    rules: [rule('example.com', 8443), rule('1.2.3.4')],
    aliases: [{ name: 'model.slopbox.internal', target: 'http://127.0.0.1:1', secretId: null, modelApi: null }],
  }
  assert.equal(nameIsKnown(policy, host('example.com')), true)
  assert.equal(nameIsKnown(policy, host('model.slopbox.internal')), true)
  assert.equal(nameIsKnown(policy, host('other.slopbox.internal')), false)
  assert.equal(nameIsKnown(policy, host('1.2.3.4')), false)
  assert.equal(nameIsKnown(undefined, host('example.com')), false)
  assert.equal(findAlias(policy, host('Model.Slopbox.Internal.'))?.target, 'http://127.0.0.1:1')
})

test('a secret belongs to exact hosts and ports only', () => {
  const secret = (bound: string, port: number | null) => ({
    id: 's',
    name: 's',
    hosts: [{ host: bound, port }],
    header: 'authorization',
    format: '{value}',
    placeholder: 'p',
    sealed: { keyId: '', wrappedKey: '', iv: '', data: '' },
  })
  const found = (bound: string, port: number | null, asked: string, askedPort: number): number =>
    secretsFor({ secrets: [secret(bound, port)] }, { host: host(asked), port: askedPort }).length
  assert.equal(found('api.test', null, 'api.test', 443), 1)
  assert.equal(found('api.test', null, 'api.test', 80), 0)
  assert.equal(found('api.test', 8443, 'api.test', 8443), 1)
  assert.equal(found('api.test', 8443, 'api.test', 443), 0)
  assert.equal(found('*.api.test', null, 'a.api.test', 443), 0)
})
