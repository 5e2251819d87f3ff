import { spawn } from 'node:child_process'
import { errorCode } from './layout.ts'

export interface CommandResult {
  code: number | null
  stdout: string
  stderr: string
}

/** Environment of every tool we run: nothing of ours, messages in English. */
export const toolEnv = { PATH: '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin', LC_ALL: 'C' }

/**
 * Runs a program of this machine to its end. Does not throw for its exit code. A program that is not installed throws,
 * unless it is `optional`: then the code is null. Killed after 30 s.
 */
export function command(
  program: string,
  args: readonly string[],
  stdin = '',
  optional = false,
): Promise<CommandResult> {
  return new Promise((resolve, reject) => {
    const child = spawn(program, args, { env: toolEnv, stdio: ['pipe', 'pipe', 'pipe'], timeout: 30_000 })
    let stdout = ''
    let stderr = ''
    child.stdout.setEncoding('utf8').on('data', (text: string) => (stdout += text))
    child.stderr.setEncoding('utf8').on('data', (text: string) => (stderr += text))
    // A program that ends without reading its input closes the pipe; its exit code says what happened.
    child.stdin.on('error', () => {})
    child.on('error', (error) => {
      if (optional && errorCode(error) === 'ENOENT') resolve({ code: null, stdout, stderr })
      else reject(new Error(`${program}: ${error.message}`, { cause: error }))
    })
    child.on('close', (code) => resolve({ code, stdout, stderr }))
    child.stdin.end(stdin)
  })
}
