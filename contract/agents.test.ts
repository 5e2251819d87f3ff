import assert from 'node:assert/strict'
import { test } from 'node:test'
import { Model } from './agents.ts'

const cases = [
  ['https://api.example.com/v1', null],
  ['http://127.0.0.1:11434/v1', null],
  ['ftp://api.example.com/v1', /http:\/\/ or https:\/\//],
  ['not an address', /http:\/\/ or https:\/\//],
  ['http://model.slopbox.internal/v1', /exist inside sandboxes only/],
  ['http://MODEL.Slopbox.Internal./v1', /exist inside sandboxes only/],
  ['http://notslopbox.internal/v1', null],
] as const
for (const [baseUrl, fault] of cases) {
  test(`a model at ${baseUrl} is ${fault === null ? 'taken' : 'refused, with the reason'}`, () => {
    const { success, error } = Model.safeParse({ baseUrl, id: 'm' })
    assert.equal(success, fault === null)
    if (fault !== null) assert.match(error?.issues.map((issue) => issue.message).join() ?? '', fault)
  })
}
