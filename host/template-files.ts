import { mkdirSync, readdirSync, readFileSync, renameSync, rmSync } from 'node:fs'
import { readdir, lstat } from 'node:fs/promises'
import { join } from 'node:path'
import { z } from 'zod'
import { writeFileAtomic } from '../lib/atomic-file.ts'
import type { Log } from '../lib/log.ts'
import type { TemplateRoot } from './driver.ts'

/** `meta.json` of a complete template. */
export const TemplateMeta = z.object({
  key: z.string(),
  name: z.string(),
  /** Key of the template its layers stand on; null: they are a whole root. */
  parent: z.string().nullable(),
  /** Own layers, from the topmost down, as names of directories beside this file. */
  layers: z.array(z.string()),
  env: z.record(z.string(), z.string()),
  user: z.string(),
  cwd: z.string(),
  sizeBytes: z.int(),
  builtAt: z.iso.datetime(),
})
export type TemplateMeta = z.infer<typeof TemplateMeta>

const unfinished = '.unfinished-'

/** Templates on disk: a directory each, made under another name and renamed when it is complete. */
export interface TemplateFiles {
  get(key: string): TemplateMeta | undefined
  /** Root with all layers down to the base; undefined unless it and all it stands on are complete. */
  root(key: string): TemplateRoot | undefined
  /** An empty directory to build in. What an earlier attempt left is removed. */
  begin(key: string): string
  /** Makes the directory of `begin` the template. */
  finish(key: string, meta: TemplateMeta): void
  discard(key: string): void
}

export function openTemplateFiles(directory: string, log: Log): TemplateFiles {
  mkdirSync(directory, { recursive: true })
  const metas = new Map<string, TemplateMeta>()
  for (const name of readdirSync(directory)) {
    if (name.startsWith(unfinished)) rmSync(join(directory, name), { recursive: true, force: true })
    else if (!name.startsWith('.')) load(directory, name, metas, log)
  }
  const building = (key: string): string => join(directory, `${unfinished}${key}`)
  const root = (key: string): TemplateRoot | undefined => {
    const meta = metas.get(key)
    if (meta === undefined) return undefined
    const own = meta.layers.map((layer) => join(directory, key, layer))
    const { env, user, cwd, parent } = meta
    if (parent === null) return { key, layers: own, env, user, cwd }
    const below = root(parent)
    return below && { key, layers: [...own, ...below.layers], env: { ...below.env, ...env }, user, cwd }
  }
  return {
    root,
    get: (key) => metas.get(key),
    begin(key) {
      rmSync(building(key), { recursive: true, force: true })
      mkdirSync(building(key))
      return building(key)
    },
    finish(key, meta) {
      writeFileAtomic(join(building(key), 'meta.json'), JSON.stringify(meta))
      renameSync(building(key), join(directory, key))
      metas.set(key, meta)
    },
    discard: (key) => rmSync(building(key), { recursive: true, force: true }),
  }
}

function load(directory: string, name: string, metas: Map<string, TemplateMeta>, log: Log): void {
  try {
    const text = readFileSync(join(directory, name, 'meta.json'), 'utf8')
    metas.set(name, TemplateMeta.parse(JSON.parse(text)))
  } catch (error) {
    // Left where it is: a sandbox may stand on its layers. It counts as absent and is built again beside it.
    log.error({ template: name, err: error }, 'template is unreadable')
  }
}

/** Bytes of all files below, links counted once each. */
export async function sizeOf(directory: string): Promise<number> {
  let bytes = 0
  for (const entry of await readdir(directory, { withFileTypes: true })) {
    const path = join(directory, entry.name)
    if (entry.isDirectory()) bytes += await sizeOf(path)
    else if (entry.isFile()) bytes += (await lstat(path)).size
  }
  return bytes
}
