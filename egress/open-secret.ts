import { createDecipheriv, createHash, timingSafeEqual } from 'node:crypto'
import type { SealedSecret } from '../contract/sync.ts'

/** Opens a sealed value; `secretId` is authenticated with it. Throws when key, id or any byte is not the right one. */
export type OpenSecret = (secretId: string, sealed: SealedSecret) => string

/** `masterKey` is the 32 bytes under which control wraps the data key of each secret (AES-256-GCM, NIST SP 800-38D). */
export function createOpenSecret(masterKey: Buffer): OpenSecret {
  if (masterKey.length !== 32) throw new Error(`master key must be 32 bytes, got ${masterKey.length}`)
  const keyId = Buffer.from(createHash('sha256').update(masterKey).digest('hex').slice(0, 16))
  return (secretId, sealed) => {
    const given = Buffer.from(sealed.keyId)
    if (given.length !== keyId.length || !timingSafeEqual(given, keyId))
      throw new Error(`secret ${secretId} is sealed under key ${sealed.keyId}, not under ${keyId.toString()}`)
    const wrapped = Buffer.from(sealed.wrappedKey, 'base64')
    const dataKey = decrypt(masterKey, wrapped.subarray(0, 12), 'slopbox/secret-key/v1', wrapped.subarray(12))
    const value = decrypt(dataKey, Buffer.from(sealed.iv, 'base64'), secretId, Buffer.from(sealed.data, 'base64'))
    return value.toString('utf8')
  }
}

function decrypt(key: Buffer, iv: Buffer, aad: string, data: Buffer): Buffer {
  const decipher = createDecipheriv('aes-256-gcm', key, iv, { authTagLength: 16 })
  decipher.setAAD(Buffer.from(aad, 'utf8'))
  decipher.setAuthTag(data.subarray(-16))
  return Buffer.concat([decipher.update(data.subarray(0, -16)), decipher.final()])
}
