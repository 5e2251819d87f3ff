import { createCipheriv, createDecipheriv, createHash, randomBytes } from 'node:crypto'
import type { SealedSecret } from '../contract/sync.ts'

/**
 * Envelope encryption with AES-256-GCM: every value has its own data key, which is wrapped by the master key. `context`
 * (a secret's id) is authenticated, so a sealed value cannot be passed off as another's.
 */
export function seal(masterKey: Buffer, context: string, value: string): SealedSecret {
  const dataKey = randomBytes(32)
  const iv = randomBytes(12)
  const wrapIv = randomBytes(12)
  return {
    keyId: keyIdOf(masterKey),
    wrappedKey: Buffer.concat([wrapIv, encrypt(masterKey, wrapIv, wrapContext, dataKey)]).toString('base64'),
    iv: iv.toString('base64'),
    data: encrypt(dataKey, iv, context, Buffer.from(value, 'utf8')).toString('base64'),
  }
}

/** Throws when the master key is another one, or anything was altered. */
export function unseal(masterKey: Buffer, context: string, sealed: SealedSecret): string {
  if (sealed.keyId !== keyIdOf(masterKey))
    throw new Error(`sealed under key ${sealed.keyId}, not under the present one`)
  const wrapped = Buffer.from(sealed.wrappedKey, 'base64')
  const dataKey = decrypt(masterKey, wrapped.subarray(0, 12), wrapContext, wrapped.subarray(12))
  return decrypt(dataKey, Buffer.from(sealed.iv, 'base64'), context, Buffer.from(sealed.data, 'base64')).toString(
    'utf8',
  )
}

/** The 32 bytes of `master.key`. */
export function parseMasterKey(text: string): Buffer {
  const key = Buffer.from(text, 'base64')
  if (key.length !== 32) throw new Error(`master.key: must be 32 bytes in base64, but has ${key.length}`)
  return key
}

const wrapContext = 'slopbox/secret-key/v1'
const tagBytes = 16

function keyIdOf(masterKey: Buffer): string {
  return createHash('sha256').update(masterKey).digest('hex').slice(0, 16)
}

function encrypt(key: Buffer, iv: Buffer, context: string, plain: Buffer): Buffer {
  const cipher = createCipheriv('aes-256-gcm', key, iv)
  cipher.setAAD(Buffer.from(context, 'utf8'))
  return Buffer.concat([cipher.update(plain), cipher.final(), cipher.getAuthTag()])
}

function decrypt(key: Buffer, iv: Buffer, context: string, sealed: Buffer): Buffer {
  const decipher = createDecipheriv('aes-256-gcm', key, iv, { authTagLength: tagBytes })
  decipher.setAAD(Buffer.from(context, 'utf8'))
  decipher.setAuthTag(sealed.subarray(-tagBytes))
  return Buffer.concat([decipher.update(sealed.subarray(0, -tagBytes)), decipher.final()])
}
