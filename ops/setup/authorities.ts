import 'reflect-metadata'
import { webcrypto } from 'node:crypto'
import {
  BasicConstraintsExtension,
  cryptoProvider,
  KeyUsageFlags,
  KeyUsagesExtension,
  SubjectKeyIdentifierExtension,
  X509CertificateGenerator,
} from '@peculiar/x509'

export interface Authority {
  /** PEM, public. */
  certificate: string
  /** PEM, PKCS #8; only the process that signs may read it. */
  key: string
}

const tenYearsMs = 3653 * 24 * 3600 * 1000
const oneDayMs = 24 * 3600 * 1000

/**
 * A self-signed certificate authority (ECDSA P-256, RFC 5280 §4.2.1.9: path length 0, so it signs server certificates
 * and no further authority). Valid from a day ago, because clocks of sandboxes and browsers differ.
 */
export async function createAuthority(commonName: string, now: Date): Promise<Authority> {
  cryptoProvider.set(webcrypto as Crypto)
  const algorithm = { name: 'ECDSA', namedCurve: 'P-256', hash: 'SHA-256' }
  // The library's types name the browser's keys, which are these.
  const keys = (await webcrypto.subtle.generateKey(algorithm, true, ['sign', 'verify'])) as CryptoKeyPair
  const usage = KeyUsageFlags.keyCertSign | KeyUsageFlags.cRLSign
  const certificate = await X509CertificateGenerator.createSelfSigned({
    name: `CN=${commonName}, O=Slopbox`,
    notBefore: new Date(now.getTime() - oneDayMs),
    notAfter: new Date(now.getTime() + tenYearsMs),
    signingAlgorithm: algorithm,
    keys,
    extensions: [
      new BasicConstraintsExtension(true, 0, true),
      new KeyUsagesExtension(usage, true),
      await SubjectKeyIdentifierExtension.create(keys.publicKey),
    ],
  })
  const pkcs8 = Buffer.from(await webcrypto.subtle.exportKey('pkcs8', keys.privateKey)).toString('base64')
  const lines = pkcs8.match(/.{1,64}/g) ?? []
  return {
    certificate: `${certificate.toString('pem').trim()}\n`,
    key: `-----BEGIN PRIVATE KEY-----\n${lines.join('\n')}\n-----END PRIVATE KEY-----\n`,
  }
}
