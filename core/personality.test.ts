import assert from 'node:assert/strict'
import { test } from 'node:test'
import { personalityFiles, personalityPresets } from '../contract/agents.ts'
import { makePersonalityFiles } from './personality.ts'

const own = { soul: '', instructions: '', emoji: '' }

for (const preset of personalityPresets) {
  test(`${preset} is a character of its own, with name and emoji where the runtime reads them`, () => {
    const files = makePersonalityFiles('Ada', { ...own, preset })
    assert.deepEqual(Object.keys(files).toSorted(), [...personalityFiles].toSorted())
    assert.match(files['IDENTITY.md'], /^- \*\*Name:\*\* Ada$/m)
    assert.match(files['IDENTITY.md'], /^- \*\*Emoji:\*\* \p{Extended_Pictographic}/mu)
    assert.ok(files['SOUL.md'].length > 200)
    const others = personalityPresets.filter((other) => other !== preset)
    for (const other of others)
      assert.notEqual(files['SOUL.md'], makePersonalityFiles('Ada', { ...own, preset: other })['SOUL.md'])
  })
}

test('own text comes after the preset’s, own instructions before the house rules', () => {
  const files = makePersonalityFiles('Ada', { preset: 'writer', soul: 'MINE', instructions: 'DO THIS', emoji: '🦊' })
  assert.match(files['SOUL.md'], /voice[\s\S]*MINE\n$/)
  assert.match(files['AGENTS.md'], /DO THIS[\s\S]*sandbox/)
  assert.match(files['IDENTITY.md'], /🦊/)
})

test('without a preset there is only the owner’s text', () => {
  const files = makePersonalityFiles('Ada', { preset: null, soul: 'ONLY', instructions: '', emoji: '' })
  assert.equal(files['SOUL.md'], '# Soul\n\nONLY\n')
})
