import assert from 'node:assert/strict'
import { test } from 'node:test'
import { createAgent } from '../../contract/agents.ts'
import { emptyModel, guessPreset, modelBody, modelPresets, withProvider } from './model-presets.ts'

const body = (model: unknown) => ({ name: 'Ada', model })

test('every preset makes a body that the API accepts once a model and a key are given', () => {
  for (const preset of modelPresets) {
    const values = { ...withProvider(emptyModel, preset.id), modelId: preset.example, key: 'k' }
    const filled = { ...values, baseUrl: values.baseUrl || 'https://llm.example/v1' }
    assert.equal(createAgent.body.safeParse(body(modelBody(filled))).success, true, preset.id)
  }
})

test('a missing key is refused at the key, not sent as none', () => {
  const parsed = createAgent.body.safeParse(body(modelBody({ ...emptyModel, modelId: 'm' })))
  assert.deepEqual(
    parsed.error?.issues.map((issue) => issue.path.join('.')),
    ['model.key'],
  )
})

test('choosing a provider keeps the key that was typed, and Ollama wants none', () => {
  const values = withProvider({ ...emptyModel, key: 'sk-1' }, 'ollama')
  assert.equal(values.auth, 'none')
  assert.deepEqual(modelBody({ ...values, modelId: 'm' }).secret, null)
  assert.equal(withProvider(values, 'anthropic').key, 'sk-1')
  assert.equal(withProvider(values, 'anthropic').auth, 'new')
})

test('an endpoint is recognised whatever it ends in', () => {
  assert.equal(guessPreset('https://api.openai.com/v1/'), 'openai')
  assert.equal(guessPreset('https://llm.example/v1'), 'custom')
})
