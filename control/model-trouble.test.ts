import assert from 'node:assert/strict'
import { test } from 'node:test'
import { modelTrouble } from './model-trouble.ts'

const local = { baseUrl: 'http://127.0.0.1:8080/v1', secret: 'model-key' }

test('what the gate saw of a model call is told with the next step', () => {
  for (const [record, model, told] of [
    [{ reason: null, status: 401 }, local, /127\.0\.0\.1:8080 answered 401.*slopbox secret set model-key/],
    [{ reason: null, status: 403 }, { ...local, secret: null }, /wants one: set the model's key/],
    [{ reason: 'address_refused', status: 502 }, local, /--allow-range 127\.0\.0\.1\/32$/],
    [
      { reason: 'address_refused', status: 502 },
      { baseUrl: 'http://localhost/v1', secret: null },
      /--allow-range 127\.0\.0\.1\/32$/,
    ],
    [{ reason: 'address_refused', status: 502 }, { baseUrl: 'http://[fd00::1]/v1', secret: null }, /fd00::1\/128$/],
    [{ reason: 'address_refused', status: 502 }, { baseUrl: 'http://model.lan/v1', secret: null }, /<range of its/],
    [{ reason: 'connect_failed', status: 502 }, local, /127\.0\.0\.1:8080 does not answer/],
    [
      { reason: 'unresolvable', status: 502 },
      { baseUrl: 'https://no.example/v1', secret: null },
      /no\.example does not/,
    ],
    [{ reason: 'tls_failed', status: 502 }, local, /--extra-roots/],
    [{ reason: 'secret_unavailable', status: 502 }, local, /slopbox secret set model-key/],
    [{ reason: 'budget', status: 402 }, local, /raise the budget/],
  ] as const)
    assert.match(modelTrouble(record, model) ?? '', told)
  assert.equal(modelTrouble({ reason: null, status: 200 }, local), undefined)
  assert.equal(modelTrouble({ reason: null, status: 500 }, local), undefined)
})
