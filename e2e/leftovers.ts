import { execFile } from 'node:child_process'
import { readdir, readFile } from 'node:fs/promises'
import { promisify } from 'node:util'

const run = promisify(execFile)

/** What there is on the machine with this in its name: mounts, links, firewall tables and elements, cgroups, runtime states. */
export async function leftovers(name: string): Promise<string[]> {
  const of = (text: string): boolean => text.includes(name)
  const mounts = (await readFile('/proc/self/mountinfo', 'utf8')).split('\n').filter(of)
  const { stdout: rules } = await run('nft', ['list', 'ruleset'])
  const { stdout: links } = await run('ip', ['-o', 'link', 'show'])
  const cgroups = await readdir('/sys/fs/cgroup', { recursive: true, withFileTypes: true })
  return [
    ...mounts,
    ...rules.split('\n').filter(of),
    ...links.split('\n').filter(of),
    ...cgroups
      .filter((entry) => entry.isDirectory() && of(entry.name))
      .map((entry) => `cgroup ${entry.parentPath}/${entry.name}`),
  ]
}
