import 'reflect-metadata'
import { createHash, createPrivateKey, randomBytes, webcrypto, X509Certificate as NodeCertificate } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { isIP } from 'node:net'
import { join } from 'node:path'
import {
  AuthorityKeyIdentifierExtension,
  BasicConstraintsExtension,
  cryptoProvider,
  ExtendedKeyUsage,
  ExtendedKeyUsageExtension,
  KeyUsageFlags,
  KeyUsagesExtension,
  SubjectAlternativeNameExtension,
  SubjectKeyIdentifierExtension,
  X509Certificate,
  X509CertificateGenerator,
} from '@peculiar/x509'
import { writeFileAtomic } from '../lib/atomic-file.ts'

export interface ServerCertificate {
  /** PEM: the certificate, then its authority's. */
  cert: string
  /** PEM, PKCS #8. */
  key: string
}

export interface CertificateSource {
  /** Directory the certificate and its key are kept in between starts. */
  directory: string
  /** PEM of the authority. */
  authority: string
  /** PEM (PKCS #8, ECDSA P-256) of the authority's key. */
  authorityKey: string
  /** Names and addresses it must hold for. */
  names: readonly string[]
  now: () => Date
}

const dayMs = 24 * 3600 * 1000
const lifeMs = 90 * dayMs
const renewMs = 30 * dayMs

/** Everything this listener is reached as. */
export const namesOf = (domain: string): string[] => [
  domain,
  `*.${domain}`,
  `*.agent.${domain}`,
  'localhost',
  '127.0.0.1',
  '::1',
]

/** The kept certificate while it has time left and is for these names and this authority; else a new one. */
export async function serverCertificate(source: CertificateSource): Promise<ServerCertificate> {
  const identity = createHash('sha256')
    .update(JSON.stringify([source.names, source.authority]))
    .digest('hex')
  const path = join(source.directory, 'tls.json')
  const kept = readKept(path)
  if (kept?.identity === identity && Date.parse(kept.notAfter) - source.now().getTime() > renewMs) return kept
  const made = await mint(source)
  writeFileAtomic(path, JSON.stringify({ ...made, identity }))
  return made
}

interface Kept extends ServerCertificate {
  identity: string
  notAfter: string
}

function readKept(path: string): Kept | undefined {
  try {
    return JSON.parse(readFileSync(path, 'utf8')) as Kept
  } catch (error) {
    // Absent or cut off: it costs a few milliseconds to make another.
    if ((error as NodeJS.ErrnoException).code === 'ENOENT' || error instanceof SyntaxError) return undefined
    throw error
  }
}

const algorithm = { name: 'ECDSA', namedCurve: 'P-256', hash: 'SHA-256' }

/** A server certificate of the authority (RFC 5280 §4.2, RFC 6125: names in the SAN alone). */
async function mint(source: CertificateSource): Promise<ServerCertificate & { notAfter: string }> {
  cryptoProvider.set(webcrypto as Crypto)
  const authority = new X509Certificate(source.authority)
  const signingKey = await importKey(source.authorityKey)
  if (!new NodeCertificate(source.authority).checkPrivateKey(createPrivateKey(source.authorityKey)))
    throw new Error('tls-ca.key does not belong to the certificate in SLOPBOX_GATEWAY_CA_FILE')
  const keys = (await webcrypto.subtle.generateKey(algorithm, true, ['sign', 'verify'])) as CryptoKeyPair
  const now = source.now().getTime()
  const notAfter = new Date(now + lifeMs)
  const certificate = await X509CertificateGenerator.create({
    serialNumber: `00${randomBytes(16).toString('hex')}`,
    subject: `CN=${source.names[0]}`,
    issuer: authority.subject,
    // Clocks of browsers differ.
    notBefore: new Date(now - dayMs),
    notAfter,
    publicKey: keys.publicKey,
    signingKey,
    signingAlgorithm: algorithm,
    extensions: [
      new BasicConstraintsExtension(false, undefined, true),
      new KeyUsagesExtension(KeyUsageFlags.digitalSignature, true),
      new ExtendedKeyUsageExtension([ExtendedKeyUsage.serverAuth]),
      new SubjectAlternativeNameExtension(
        source.names.map((value) => ({ type: isIP(value) === 0 ? 'dns' : 'ip', value }) as const),
      ),
      await AuthorityKeyIdentifierExtension.create(authority),
      await SubjectKeyIdentifierExtension.create(keys.publicKey),
    ],
  })
  const pkcs8 = Buffer.from(await webcrypto.subtle.exportKey('pkcs8', keys.privateKey))
  return {
    cert: `${certificate.toString('pem').trim()}\n${source.authority.trim()}\n`,
    key: createPrivateKey({ key: pkcs8, format: 'der', type: 'pkcs8' })
      .export({ format: 'pem', type: 'pkcs8' })
      .toString(),
    notAfter: notAfter.toISOString(),
  }
}

async function importKey(pem: string): Promise<CryptoKey> {
  const der = createPrivateKey(pem).export({ format: 'der', type: 'pkcs8' })
  return (await webcrypto.subtle.importKey('pkcs8', new Uint8Array(der), algorithm, false, ['sign'])) as CryptoKey
}
