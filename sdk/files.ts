import * as api from '../contract/files.ts'
import type { Output } from '../contract/route.ts'
import { call, send, type ClientOptions } from './call.ts'

export interface As {
  /** Name or numeric uid inside; default: the template's user. */
  user?: string
}

export type Content = string | Uint8Array<ArrayBuffer> | Blob | ReadableStream<Uint8Array>

/** Files in a running sandbox; paths are absolute, as seen inside. */
export function files(options: ClientOptions) {
  const by = (id: string) => ({ params: { id } })
  /** The content as it is read. Breaks off with an error rather than ending short. */
  const read = async (id: string, path: string, as: As = {}): Promise<ReadableStream<Uint8Array>> =>
    (await send(options, api.readFile, { ...by(id), query: { path, ...as } })).body ?? new Blob().stream()
  return {
    read,
    readText: async (id: string, path: string, as: As = {}): Promise<string> =>
      await new Response(await read(id, path, as)).text(),
    readBytes: async (id: string, path: string, as: As = {}): Promise<Uint8Array> =>
      new Uint8Array(await new Response(await read(id, path, as)).arrayBuffer()),
    /** Replaces or makes a file; it appears when it is whole. `mode` is octal, such as `755`. */
    write: (id: string, path: string, content: Content, more: As & { mode?: string } = {}): Promise<api.FileInfo> =>
      call(options, api.writeFile, { ...by(id), query: { path, ...more }, body: content as never }),
    append: (id: string, path: string, content: Content, as: As = {}): Promise<api.FileInfo> =>
      call(options, api.writeFile, { ...by(id), query: { path, append: 'true', ...as }, body: content as never }),
    stat: (id: string, path: string, as: As = {}): Promise<api.FileInfo> =>
      call(options, api.statFile, { ...by(id), query: { path, ...as } }),
    list: (id: string, path: string, more: As & { depth?: number } = {}): Promise<Output<typeof api.listFiles>> =>
      call(options, api.listFiles, { ...by(id), query: { path, ...more } }),
    mkdir: (id: string, path: string, more: As & { mode?: string } = {}): Promise<api.FileInfo> =>
      call(options, api.makeDirectory, { ...by(id), body: { path, ...more } }),
    move: (id: string, from: string, to: string, as: As = {}): Promise<api.FileInfo> =>
      call(options, api.moveFile, { ...by(id), body: { from, to, ...as } }),
    chmod: (id: string, path: string, mode: string, as: As = {}): Promise<api.FileInfo> =>
      call(options, api.changeMode, { ...by(id), body: { path, mode, ...as } }),
    chown: (id: string, path: string, owner: { uid: number; gid: number }, as: As = { user: 'root' }) =>
      call(options, api.changeOwner, { ...by(id), body: { path, ...owner, ...as } }),
    remove: (id: string, path: string, more: As & { recursive?: boolean } = {}): Promise<{ ok: true }> => {
      const { recursive, ...as } = more
      const query = { path, recursive: recursive === true ? 'true' : 'false', ...as }
      return call(options, api.removeFile, { ...by(id), query })
    },
  }
}
