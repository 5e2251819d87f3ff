import { stat } from 'node:fs/promises'
import { SlopboxError } from '../../../contract/errors.ts'
import type { DriverSpec } from '../../driver.ts'
import { isMissing } from './layout.ts'

const idPattern = /^[a-z0-9]{1,64}$/

/** Returns the id; it becomes part of paths and of command lines. */
export function checkId(id: string): string {
  if (!idPattern.test(id)) throw new SlopboxError('invalid_request', `${JSON.stringify(id)} is not an id`)
  return id
}

/** Throws `invalid_request` naming what this driver cannot do. */
export async function checkSpec(id: string, spec: DriverSpec): Promise<void> {
  checkId(id)
  const fault = (message: string): never => {
    throw new SlopboxError('invalid_request', `sandbox ${id}: ${message}`)
  }
  if (spec.isolation !== 'container') fault(`isolation ${spec.isolation} is not offered by the oci driver`)
  if (spec.start?.command.length === 0) fault('the start command is empty')
  if (spec.template.layers.length === 0) fault(`template ${spec.template.key} has no layers`)
  for (const volume of spec.volumes) {
    checkId(volume.id)
    if (!volume.path.startsWith('/')) fault(`volume path ${volume.path} is not absolute`)
  }
  for (const layer of spec.template.layers) {
    const found = await stat(layer).catch((error: unknown) => {
      if (!isMissing(error)) throw error
    })
    if (found?.isDirectory() !== true) fault(`layer ${layer} of template ${spec.template.key} is not a directory`)
  }
}
