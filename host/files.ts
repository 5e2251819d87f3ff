import type { DesiredSandbox } from '../contract/sync.ts'
import type { Driver, DriverFile } from './driver.ts'

/** Puts the two ends of the sandbox's link where the contract's placeholders stand. */
export async function linkExpander(driver: Driver, id: string): Promise<(text: string) => string> {
  const link = (await driver.addresses?.(id)) ?? { host: '127.0.0.1', sandbox: '127.0.0.1' }
  return (text) => text.replaceAll('{{hostAddress}}', link.host).replaceAll('{{sandboxAddress}}', link.sandbox)
}

/** The files of the spec as they are to stand inside. */
export async function expandFiles(driver: Driver, want: DesiredSandbox): Promise<DriverFile[]> {
  const expand = await linkExpander(driver, want.id)
  return want.spec.files.map((file) => ({ ...file, content: expand(file.content) }))
}
