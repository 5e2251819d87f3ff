/**
 * Loaded into every process that runs a test file. A handle that a test left open (above all one whose time was over)
 * would keep its process, and so the whole run, alive for ever: this ends it, as a failure that says what was open.
 */
import { after } from 'node:test'

const patienceMs = 15_000

// Only the runner's children run tests; the runner itself loads this too.
if (process.env['NODE_TEST_CONTEXT'] === 'child-v8') {
  after(() => {
    setTimeout(() => {
      console.error(`still open after the last test: ${process.getActiveResourcesInfo().join(', ')}`)
      process.exit(1)
    }, patienceMs).unref()
  })
}
