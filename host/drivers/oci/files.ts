import { spawn } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import type { Execution } from '../../driver.ts'
import { toolEnv } from './process.ts'
import type { Account } from './state.ts'

const helper = fileURLToPath(new URL('files.pl', import.meta.url))

/** Starts files.pl in the namespaces of this init. Words go as hexadecimal: names may hold anything but a null byte. */
export function startFiles(init: number, account: Account, [operation = '', ...words]: readonly string[]): Execution {
  const hex = words.map((word) => Buffer.from(word).toString('hex') || '-')
  const { uid, gid, groups } = account
  const who = [process.arch, String(init), String(uid), String(gid), groups.join(',')]
  const child = spawn('perl', [helper, ...who, operation, ...hex], { env: toolEnv, stdio: ['pipe', 'pipe', 'pipe'] })
  // It says itself why it reads no more.
  child.stdin.on('error', () => {})
  return {
    stdin: child.stdin,
    stdout: child.stdout,
    stderr: child.stderr,
    kill: (signal) => void child.kill(signal),
    exited: new Promise((resolve, reject) => {
      child.on('error', reject)
      child.on('close', (code, signal) => resolve({ code, signal }))
    }),
  }
}
