/** The real OpenSSH client against a listener of a test, and a host that runs what it is asked to on this machine. */
import { spawn } from 'node:child_process'
import type { ChildProcess } from 'node:child_process'
import { createHash } from 'node:crypto'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import type { ServerHttp2Stream } from 'node:http2'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import ssh2 from 'ssh2'
import { channels, ControlFrame } from '../../contract/tunnel.ts'
import { encodeJsonFrame, readFrames, writeFrames } from '../../lib/frames.ts'

export interface Run {
  code: number | null
  stdout: string
  stderr: string
}

export interface SshClient extends AsyncDisposable {
  directory: string
  /** Of the public key, as control keeps it. */
  fingerprint: string
  /** Options for `ssh`, `scp` and `sftp`, without port and destination. */
  options: readonly string[]
  start(program: string, args: readonly string[]): ChildProcess
  /** Runs one to its end with the given input. */
  run(program: string, args: readonly string[], input?: string): Promise<Run>
}

/** A person with a new key and an empty `known_hosts`. */
export async function sshClient(): Promise<SshClient> {
  const directory = await mkdtemp(join(tmpdir(), 'slopbox-ssh-'))
  const pair = ssh2.utils.generateKeyPairSync('ed25519')
  const key = join(directory, 'id_ed25519')
  await writeFile(key, pair.private, { mode: 0o600 })
  const blob = Buffer.from(pair.public.split(' ')[1] ?? '', 'base64')
  const settings = ['BatchMode=yes', 'IdentitiesOnly=yes', 'StrictHostKeyChecking=accept-new', 'LogLevel=ERROR']
  const options = [...settings, `UserKnownHostsFile=${join(directory, 'known_hosts')}`].flatMap((value) => [
    '-o',
    value,
  ])
  const children = new Set<ChildProcess>()
  const start: SshClient['start'] = (program, args) => {
    const child = spawn(program, [...options, '-i', key, '-F', 'none', ...args], { stdio: 'pipe' })
    children.add(child)
    child.once('close', () => children.delete(child))
    return child
  }
  return {
    directory,
    fingerprint: `SHA256:${createHash('sha256').update(blob).digest('base64').replace(/=+$/, '')}`,
    options,
    start,
    run(program, args, input = '') {
      const child = start(program, args)
      let stdout = ''
      let stderr = ''
      child.stdout?.setEncoding('utf8').on('data', (text: string) => (stdout += text))
      child.stderr?.setEncoding('utf8').on('data', (text: string) => (stderr += text))
      child.stdin?.on('error', () => {})
      child.stdin?.end(input)
      return new Promise((resolve, reject) => {
        child.once('error', reject)
        child.once('close', (code) => resolve({ code, stdout, stderr }))
      })
    },
    async [Symbol.asyncDispose]() {
      for (const child of children) child.kill('SIGKILL')
      await rm(directory, { recursive: true, force: true })
    },
  }
}

const sizeText = (size: { cols: number; rows: number } | undefined): string =>
  size === undefined ? 'none' : `${size.cols}x${size.rows}`

/**
 * Serves `/exec` with processes of this machine, in the given directory. They get no terminal, but its size: in `SIZE`, and each
 * change as a line of input.
 */
export async function runHere(stream: ServerHttp2Stream, cwd: string): Promise<void> {
  const frames = readFrames(stream)
  const first = await frames.next()
  const start = ControlFrame.parse(JSON.parse(first.value?.payload.toString() ?? ''))
  if (start.type !== 'start') throw new Error(`first frame is ${start.type}`)
  const [program = '', ...args] = start.request.command
  const child = spawn(program, args, {
    cwd,
    env: { PATH: '/usr/local/bin:/usr/bin:/bin', HOME: cwd, SIZE: sizeText(start.terminal), ...start.request.env },
  })
  stream.respond({ ':status': 200 })
  stream.once('close', () => child.kill('SIGKILL'))
  child.stdin.on('error', () => {})
  const feed = async (): Promise<void> => {
    for await (const { channel, payload } of { [Symbol.asyncIterator]: () => frames }) {
      if (channel === channels.stdin) child.stdin.write(payload)
      else if (channel === channels.stdinEnd) child.stdin.end()
      else {
        const told = ControlFrame.parse(JSON.parse(payload.toString()))
        if (told.type === 'signal') child.kill(told.signal as NodeJS.Signals)
        if (told.type === 'resize') child.stdin.write(`${sizeText(told)}\n`)
      }
    }
  }
  feed().catch(() => child.kill('SIGKILL'))
  const pass = async (from: AsyncIterable<Buffer>, channel: number): Promise<void> => {
    for await (const chunk of from) await writeFrames(stream, channel, chunk)
  }
  const ended = new Promise<{ code: number | null; signal: string | null }>((resolve) =>
    child.once('close', (code, signal) => resolve({ code, signal })),
  )
  await Promise.all([pass(child.stdout, channels.stdout), pass(child.stderr, channels.stderr)])
  stream.end(encodeJsonFrame(channels.control, { type: 'exit', ...(await ended), reason: 'exited' }))
}
