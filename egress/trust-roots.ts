import { X509Certificate } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { createSecureContext, type SecureContext } from 'node:tls'

/** The machine's bundle of roots as PEM: `SSL_CERT_FILE` as OpenSSL understands it, else Debian's. */
export function readMachineRoots(sslCertFile: string | undefined): string {
  return readFileSync(sslCertFile ?? '/etc/ssl/certs/ca-certificates.crt', 'utf8')
}

/**
 * What upstream servers are verified against: the machine's roots and the operator's extra ones, but never the
 * installation's own interception CA, even if an operator has added that to the machine's store: a leaf we minted must
 * not vouch for a stranger. Unreadable extra roots throw.
 */
export function upstreamContext(machineRoots: string, extraRoots: string, ownCa: string): SecureContext {
  const own = new X509Certificate(ownCa).fingerprint256
  const ca = certificatesIn(`${machineRoots}\n${extraRoots}`).filter(
    (pem) => new X509Certificate(pem).fingerprint256 !== own,
  )
  return createSecureContext({ ca, minVersion: 'TLSv1.2' })
}

const certificatesIn = (pem: string): string[] =>
  pem.match(/-----BEGIN (?:TRUSTED )?CERTIFICATE-----[^-]+-----END (?:TRUSTED )?CERTIFICATE-----/g) ?? []
