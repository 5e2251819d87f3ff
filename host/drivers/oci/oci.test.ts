import { describe, test } from 'node:test'
import { examineDriver } from '../driver.exam.ts'
import { whyNoOci } from './probe.ts'
import { ociWorld } from './testing.ts'

for (const runtime of ['crun', 'runc'] as const) {
  const reason = whyNoOci(runtime)
  if (reason === undefined) examineDriver(`oci (${runtime})`, () => ociWorld(runtime))
  else describe(`the oci (${runtime}) driver`, () => test('sits the exam', { skip: reason }))
}
