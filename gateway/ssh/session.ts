import type { ServerChannel, Session } from 'ssh2'
import { loginShell } from '../../contract/pty.ts'
import type { TerminalSize } from '../../contract/pty.ts'
import { EnvVars } from '../../contract/sandboxes.ts'
import { tellFailure, untilClosed } from './channel.ts'
import { runCommand } from './command.ts'
import type { CommandDeps, Running } from './command.ts'
import type { Arrival } from './sign-in.ts'

/** The person's shell as far as the template has it; a command is the one argument. */
const inShell = (...rest: readonly string[]): string[] => [
  '/bin/sh',
  '-c',
  'if [ -x /bin/bash ]; then exec /bin/bash "$@"; else exec /bin/sh "$@"; fi',
  'sh',
  ...rest,
]

/** Where distributions keep OpenSSH's server of files; it talks over its standard streams and listens nowhere. */
const sftpServer = `for at in /usr/lib/openssh /usr/lib/ssh /usr/libexec/openssh /usr/libexec; do
  [ -x "$at/sftp-server" ] && exec "$at/sftp-server"
done
echo 'slopbox: this template has no sftp-server: install openssh-sftp-server in it' >&2
exit 127`

const maxVariables = 100
const maxEnvBytes = 64 * 1024

/** A client without a terminal of its own says 0 by 0. */
const sizeOf = (told: { cols: number; rows: number }): TerminalSize => ({
  cols: Math.min(2000, told.cols === 0 ? 80 : told.cols),
  rows: Math.min(2000, told.rows === 0 ? 24 : told.rows),
})

/** Serves one session (RFC 4254 §6): a shell, a command or sftp, with a terminal if the client asks for one. */
export function serveSession(session: Session, arrival: Arrival, deps: Omit<CommandDeps, 'grant'>): void {
  const env: Record<string, string> = Object.create(null) as Record<string, string>
  let envBytes = 0
  let running: Running | undefined
  let terminal: TerminalSize | undefined
  session.on('env', (accept, reject, { key, val }: { key: string; val: string }) => {
    envBytes += key.length + val.length
    const fits = envBytes <= maxEnvBytes && Object.keys(env).length < maxVariables
    if (!fits || !EnvVars.safeParse({ [key]: val }).success) return reject?.()
    env[key] = val
    accept?.()
  })
  const begin = (channel: ServerChannel, command: readonly string[]): void => {
    if ('refusal' in arrival) {
      tellFailure(channel, arrival.refusal, untilClosed(channel)).catch(() => {})
      return
    }
    running = runCommand({ ...deps, grant: arrival.grant }, channel, { command, env, terminal })
  }
  session.on('exec', (accept, _reject, { command }) => begin(accept(), inShell('-c', command)))
  session.on('shell', (accept) => begin(accept(), loginShell))
  session.on('subsystem', (accept, reject, { name }) => {
    if (name !== 'sftp') return reject()
    begin(accept(), ['/bin/sh', '-c', sftpServer])
  })
  session.on('pty', (accept, _reject, info) => {
    terminal = sizeOf(info)
    if (/^[\w.+-]{1,64}$/.test(info.term ?? '')) env['TERM'] = info.term
    accept?.()
  })
  session.on('window-change', (accept, _reject, info) => {
    running?.resize(sizeOf(info))
    accept?.()
  })
  session.on('signal', (accept, reject, { name }) => {
    if (running === undefined) return reject?.()
    running.signal(name)
    accept?.()
  })
}
