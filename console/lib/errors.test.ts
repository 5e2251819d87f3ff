import assert from 'node:assert/strict'
import { test } from 'node:test'
import { SlopboxError } from '../../contract/errors.ts'
import { placeErrors, tell } from './errors.ts'

test("a server's refusal is told with its hint and request id", () => {
  const error = new SlopboxError('conflict', 'name "Ada" is taken', { hint: 'Choose another.', requestId: 'rq1' })
  assert.deepEqual(tell(error), { message: 'Name "Ada" is taken', hint: 'Choose another.', requestId: 'rq1' })
})

test('anything else is told too, with something to do', () => {
  assert.equal(tell(new TypeError('boom')).message, 'Boom')
  assert.notEqual(tell('x').hint, null)
})

test('errors go to the field they name, with or without the part of the request', () => {
  const fields = ['name', 'model.baseUrl', 'allow']
  assert.deepEqual(placeErrors('body.name: too long; model.baseUrl: not a URL', fields), {
    byField: { name: 'Too long', 'model.baseUrl': 'Not a URL' },
    rest: null,
  })
  assert.deepEqual(placeErrors('allow.0: not a host', fields), { byField: { allow: 'Not a host' }, rest: null })
})

test('what names no field of the form stays with the form', () => {
  assert.deepEqual(placeErrors('name "Ada" is taken', ['name']), { byField: {}, rest: 'Name "Ada" is taken' })
  assert.deepEqual(placeErrors('size: too big', ['name']), { byField: {}, rest: 'Size: too big' })
})
