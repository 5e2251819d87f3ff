import assert from 'node:assert/strict'
import { type ChildProcess, spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { chmodSync, existsSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { after, before, test } from 'node:test'
import { z } from 'zod'
import { pause } from '../lib/loop.ts'
import { Slopbox } from '../sdk/index.ts'
import { appDirectory, placesOf } from './paths.ts'
import { readInstallation } from './setup/installation.ts'
import { account, groupId } from './setup/users.ts'
import { livingProcesses } from './supervise/process-table.ts'

const skip = process.getuid?.() === 0 ? false : 'needs root, as `slopbox up` does'
const launcher = join(appDirectory, 'slopbox')

const Line = z.strictObject({
  url: z.url(),
  apiUrl: z.url(),
  domain: z.string(),
  caFile: z.string(),
  dataDir: z.string(),
  operator: z.strictObject({ email: z.string(), password: z.string().min(12) }),
  apiKey: z.string().min(20),
})

let home = ''
let data = ''
before(() => {
  home = mkdtempSync(join(tmpdir(), 'slopbox-up-'))
  chmodSync(home, 0o700)
  data = join(home, 'data')
})
after(() => {
  if (existsSync(data)) slopbox(['down', '--wipe', '--data', data])
  rmSync(home, { recursive: true, force: true })
})

const env = (): Record<string, string> => ({
  PATH: process.env['PATH'] ?? '',
  HOME: home,
  SLOPBOX_DRIVER: 'fake',
})

function slopbox(args: string[]): { status: number | null; out: string; err: string } {
  const run = spawnSync(launcher, args, { encoding: 'utf8', env: env() })
  return { status: run.status, out: run.stdout, err: run.stderr }
}

interface Running extends AsyncDisposable {
  child: ChildProcess
  line: z.infer<typeof Line>
  stdout: string[]
  stderr: string[]
  stop(signal: NodeJS.Signals): Promise<number | null>
}

async function start(): Promise<Running> {
  const child = spawn(launcher, ['up', '--json', '--no-build', '--data', data, '--port', '0'], { env: env() })
  const [stdout, stderr]: [string[], string[]] = [[], []]
  createInterface({ input: child.stderr }).on('line', (line) => stderr.push(line))
  const lines = createInterface({ input: child.stdout }).on('line', (line) => stdout.push(line))
  const exited = once(child, 'exit') as Promise<[number | null]>
  const first = await Promise.race([once(lines, 'line') as Promise<[string]>, exited.then(() => null)])
  assert.ok(first !== null, stderr.join('\n'))
  const stop = async (signal: NodeJS.Signals): Promise<number | null> => {
    if (child.exitCode === null && child.signalCode === null) child.kill(signal)
    return (await exited)[0]
  }
  return {
    child,
    line: Line.parse(JSON.parse(first[0])),
    stdout,
    stderr,
    stop,
    async [Symbol.asyncDispose]() {
      await stop('SIGKILL')
    },
  }
}

const places = () => placesOf(data, readInstallation(join(data, 'installation.json'))?.instance ?? '')
const processes = () => livingProcesses(join(places().run, 'processes.json'))

async function until(condition: () => boolean, what: string): Promise<void> {
  const limit = AbortSignal.timeout(60_000)
  while (!condition()) {
    assert.ok(!limit.aborted, what)
    await pause(50, limit)
  }
}

test(
  'a data directory goes through its life: started, found in use, stopped, started again, killed, removed',
  { skip },
  async (t) => {
    let firstLine: z.infer<typeof Line>
    {
      await using system = await start()
      firstLine = system.line

      await t.test('one JSON line, everything else on standard error', () => {
        assert.equal(system.stdout.length, 1)
        assert.equal(system.line.dataDir, data)
        assert.equal(system.line.caFile, join(data, 'ca.pem'))
        assert.match(readFileSync(system.line.caFile, 'utf8'), /^-----BEGIN CERTIFICATE-----/)
        const port = new URL(system.line.apiUrl).port
        assert.equal(system.line.apiUrl, `http://127.0.0.1:${port}`)
        assert.equal(system.line.domain, `slopbox.localhost:${port}`)
        assert.equal(system.line.url, `http://slopbox.localhost:${port}`)
        assert.match(system.stderr.join('\n'), /sign in +http:\/\/slopbox\.localhost:\d+\/sign-in#token=\S{20,}/)
      })

      await t.test('the API answers to the key, which is saved for the command line', async () => {
        const client = new Slopbox({ url: system.line.apiUrl, apiKey: system.line.apiKey })
        const me = await client.account.me()
        assert.equal(me.user.role, 'operator')
        const saved = join(home, '.config', 'slopbox', 'config.json')
        assert.equal(statSync(saved).mode & 0o777, 0o600)
        assert.equal(JSON.parse(readFileSync(saved, 'utf8')).apiKey, system.line.apiKey)
      })

      await t.test('every process is its own user without capabilities, except the host', () => {
        const users = {
          database: 'slopbox-db',
          control: 'slopbox-control',
          egress: 'slopbox-egress',
          gateway: 'slopbox-gateway',
        }
        const found = processes()
        assert.deepEqual(found.map((entry) => entry.name).toSorted(), [
          'control',
          'database',
          'egress',
          'gateway',
          'host',
        ])
        for (const { name, pid } of found) {
          const status = readFileSync(`/proc/${pid}/status`, 'utf8')
          const uid = name === 'host' ? 0 : account(users[name as keyof typeof users])?.uid
          assert.match(status, new RegExp(`^Uid:\\t${uid}\\t${uid}\\t${uid}\\t${uid}$`, 'm'), name)
          if (name === 'host') continue
          assert.match(status, new RegExp(`^Gid:\\t${groupId('slopbox')}\\t`, 'm'))
          assert.match(status, /^CapEff:\t0+$/m)
          assert.match(status, /^CapBnd:\t0+$/m)
          assert.match(status, /^NoNewPrivs:\t1$/m)
        }
      })

      await t.test('secrets lie in files of their owner alone, and in no environment or command line', () => {
        const master = readFileSync(join(data, 'secrets', 'master.key'), 'utf8').trim()
        for (const { name, pid } of processes()) {
          for (const file of ['environ', 'cmdline']) {
            assert.ok(!readFileSync(`/proc/${pid}/${file}`, 'utf8').includes(master), `${name} ${file}`)
          }
        }
        assert.equal(statSync(join(data, 'secrets')).mode & 0o777, 0o700)
        assert.equal(statSync(join(data, 'operator.json')).mode & 0o777, 0o600)
        assert.equal(existsSync(join(data, 'host', 'credentials', 'master.key')), false)
      })

      await t.test('a second start says who has the directory, and changes nothing', () => {
        const before = readFileSync(join(data, 'installation.json'), 'utf8')
        const { status, out, err } = slopbox(['up', '--data', data])
        assert.equal(status, 1)
        assert.equal(out, '')
        assert.ok(
          err.includes(`already in use by a running Slopbox (pid ${system.child.pid}, ${system.line.url})`),
          err,
        )
        assert.equal(readFileSync(join(data, 'installation.json'), 'utf8'), before)
        assert.equal(processes().length, 5)
      })

      await t.test('status lists what runs', () => {
        const { status, out } = slopbox(['status', '--json', '--data', data])
        assert.equal(status, 0)
        const found = JSON.parse(out) as { running: boolean; processes: { name: string }[]; apiProblem: string | null }
        assert.equal(found.running, true)
        assert.equal(found.apiProblem, null)
        assert.deepEqual(found.processes.map((entry) => entry.name).toSorted()[5], 'supervisor')
      })

      await t.test('a process that is killed is started again', async () => {
        const pidOf = (name: string): number | undefined => processes().find((entry) => entry.name === name)?.pid
        const old = pidOf('control')
        assert.ok(old !== undefined)
        process.kill(old, 'SIGKILL')
        await until(() => pidOf('control') !== undefined && pidOf('control') !== old, 'control is not started again')
        const client = new Slopbox({ url: system.line.apiUrl, apiKey: system.line.apiKey })
        const limit = AbortSignal.timeout(60_000)
        while (
          !(await client.account.me().then(
            () => true,
            () => false,
          ))
        ) {
          assert.ok(!limit.aborted, 'the API does not come back')
          await pause(100, limit)
        }
      })

      await t.test('an interrupt stops everything in order', async () => {
        assert.equal(await system.stop('SIGINT'), 0)
        assert.deepEqual(processes(), [])
        assert.equal(slopbox(['status', '--data', data]).status, 3)
      })
    }

    await t.test('the second start has the same key, operator and addresses, and shows no password', async () => {
      await using system = await start()
      assert.deepEqual(system.line, firstLine)
      assert.ok(!system.stderr.join('\n').includes(firstLine.operator.password))
      const client = new Slopbox({ url: system.line.apiUrl, apiKey: system.line.apiKey })
      assert.equal((await client.account.me()).user.email, firstLine.operator.email)

      // A supervisor that is killed takes its processes along; the next start repairs whatever they left.
      await system.stop('SIGKILL')
    })

    await t.test('after a kill it starts again, detached, and is stopped by `down`', async () => {
      const up = slopbox(['up', '--json', '--no-build', '--detach', '--data', data])
      assert.equal(up.status, 0, up.err)
      assert.deepEqual(JSON.parse(up.out), firstLine)
      assert.equal(processes().length, 5)
      assert.equal(slopbox(['down', '--data', data]).status, 0)
      assert.deepEqual(processes(), [])
    })

    await t.test('logs of every process are there, and hold neither password nor key', () => {
      for (const name of ['control', 'host', 'egress', 'gateway', 'up']) {
        const text = readFileSync(join(data, 'logs', `${name}.log`), 'utf8')
        assert.ok(text.length > 0, name)
        for (const secret of [firstLine.operator.password, firstLine.apiKey]) assert.ok(!text.includes(secret), name)
      }
    })

    await t.test('an embedded database of another version is refused and not touched', () => {
      const file = join(data, 'db', 'pg', 'PG_VERSION')
      writeFileSync(file, '17\n')
      const { status, err } = slopbox(['up', '--no-build', '--data', data])
      assert.equal(status, 1)
      assert.match(err, /was made by PostgreSQL 17; this version of Slopbox brings 18/)
      writeFileSync(file, '18\n')
    })

    await t.test('removed, nothing of it is left on the machine', () => {
      const { instance = '' } = readInstallation(join(data, 'installation.json')) ?? {}
      const { status, err } = slopbox(['down', '--wipe', '--data', data])
      assert.equal(status, 0, err)
      assert.equal(existsSync(data), false)
      assert.equal(existsSync(join('/run/slopbox', instance)), false)
      assert.doesNotMatch(readFileSync('/proc/self/mounts', 'utf8'), new RegExp(`/run/slopbox/${instance}`))
    })
  },
)
