import 'reflect-metadata'
import { createPrivateKey, generateKeyPair, randomBytes, type KeyObject } from 'node:crypto'
import { createSecureContext, type SecureContext } from 'node:tls'
import { promisify } from 'node:util'
import * as x509 from '@peculiar/x509'
import type { Host } from '../core/host-name.ts'

/** Certificates for intercepted hosts, signed by the installation's CA. */
export interface Leafs {
  /** Server context for this host; minted once (about 3 ms) and kept for a day. */
  contextFor(host: Host): Promise<SecureContext>
}

const dayMs = 86_400_000
const most = 2_000

/**
 * One P-256 key, made here and now, serves every leaf: it never leaves the process, and making keys stays off the way of
 * requests. `caPem` and `caKeyPem` (PKCS #8) are the installation's CA.
 */
export async function createLeafs(caPem: string, caKeyPem: string): Promise<Leafs> {
  const ca = new x509.X509Certificate(caPem)
  const caKey = await importSigner(createPrivateKey(caKeyPem))
  const pair = await promisify(generateKeyPair)('ec', { namedCurve: 'P-256' })
  const publicKey = await crypto.subtle.importKey(
    'spki',
    pair.publicKey.export({ type: 'spki', format: 'der' }),
    { name: 'ECDSA', namedCurve: 'P-256' },
    true,
    ['verify'],
  )
  const key = pair.privateKey.export({ type: 'pkcs8', format: 'pem' })
  const cache = new Map<string, { context: Promise<SecureContext>; until: number }>()

  const mint = async (host: Host): Promise<SecureContext> => {
    const now = Date.now()
    const leaf = await x509.X509CertificateGenerator.create({
      // The top bit is cleared: serial numbers are positive (RFC 5280 §4.1.2.2).
      serialNumber: Buffer.from(randomBytes(16).map((byte, i) => (i === 0 ? (byte & 0x7f) | 1 : byte))).toString('hex'),
      issuer: ca.subject,
      // Only the subject alternative name counts; clocks in sandboxes may be a little behind.
      subject: '',
      notBefore: new Date(now - dayMs),
      notAfter: new Date(now + 90 * dayMs),
      publicKey,
      signingKey: caKey,
      signingAlgorithm: { name: caKey.algorithm.name, hash: 'SHA-256' },
      extensions: [
        new x509.BasicConstraintsExtension(false, undefined, true),
        new x509.KeyUsagesExtension(x509.KeyUsageFlags.digitalSignature, true),
        new x509.ExtendedKeyUsageExtension([x509.ExtendedKeyUsage.serverAuth]),
        // Critical, because the subject is empty (RFC 5280 §4.2.1.6).
        new x509.SubjectAlternativeNameExtension([{ type: host.kind === 'ip' ? 'ip' : 'dns', value: host.text }], true),
        await x509.AuthorityKeyIdentifierExtension.create(ca.publicKey),
        await x509.SubjectKeyIdentifierExtension.create(publicKey),
      ],
    })
    return createSecureContext({ key, cert: `${leaf.toString('pem')}\n${caPem}`, minVersion: 'TLSv1.2' })
  }
  return {
    contextFor(host) {
      const known = cache.get(host.text)
      if (known !== undefined && known.until > Date.now()) return known.context
      const context = mint(host)
      context.catch(() => cache.delete(host.text))
      cache.delete(host.text)
      cache.set(host.text, { context, until: Date.now() + dayMs })
      const [oldest] = cache.keys()
      if (cache.size > most && oldest !== undefined) cache.delete(oldest)
      return context
    },
  }
}

function importSigner(key: KeyObject): Promise<CryptoKey> {
  const der = key.export({ type: 'pkcs8', format: 'der' })
  if (key.asymmetricKeyType === 'ec') {
    const curve = { prime256v1: 'P-256', secp384r1: 'P-384', secp521r1: 'P-521' }[
      key.asymmetricKeyDetails?.namedCurve ?? ''
    ]
    if (curve === undefined) throw new Error('ca.key: must be on P-256, P-384 or P-521')
    return crypto.subtle.importKey('pkcs8', der, { name: 'ECDSA', namedCurve: curve }, false, ['sign'])
  }
  if (key.asymmetricKeyType === 'rsa')
    return crypto.subtle.importKey('pkcs8', der, { name: 'RSASSA-PKCS1-v1_5', hash: 'SHA-256' }, false, ['sign'])
  throw new Error(`ca.key: must be an EC or RSA key, is ${key.asymmetricKeyType ?? 'unknown'}`)
}
