import type { Socket } from 'node:net'

/** What a first flight of TLS says. `sni` null: the extension is absent. Nothing is decrypted or verified. */
export type ClientHello = { kind: 'hello'; sni: string | null } | { kind: 'more' } | { kind: 'bad'; why: string }

/** A ClientHello larger than this is refused; real ones, post-quantum shares included, stay below 4 KiB. */
export const maxHelloBytes = 32 * 1024

/** Parses TLS records (RFC 8446 §5.1) up to the end of the ClientHello (§4.1.2), however it is split over records. */
export function parseClientHello(bytes: Buffer): ClientHello {
  const handshake: Buffer[] = []
  for (let offset = 0, have = 0; ;) {
    if (bytes.length < offset + 5) return more(bytes)
    if (bytes[offset] !== 0x16) return bad('a record is not a handshake')
    if (bytes[offset + 1] !== 3) return bad('unknown record version')
    const length = bytes.readUInt16BE(offset + 3)
    if (length === 0 || length > 16_384) return bad(`a record has ${length} bytes`)
    const record = bytes.subarray(offset + 5, offset + 5 + length)
    handshake.push(record)
    have += record.length
    if (have >= 4) {
      const joined = Buffer.concat(handshake)
      if (joined[0] !== 1) return bad('the first message is not a ClientHello')
      const size = joined.readUIntBE(1, 3)
      if (size > maxHelloBytes) return bad(`the ClientHello has ${size} bytes`)
      if (joined.length >= 4 + size) return readSni(joined.subarray(4, 4 + size))
    }
    if (record.length < length) return more(bytes)
    offset += 5 + length
  }
}

const bad = (why: string): ClientHello => ({ kind: 'bad', why })
const more = (bytes: Buffer): ClientHello =>
  bytes.length > maxHelloBytes ? bad('the ClientHello does not end') : { kind: 'more' }

function readSni(body: Buffer): ClientHello {
  const reader = new Reader(body)
  reader.take(2 + 32)
  reader.take(reader.number(1))
  reader.take(reader.number(2))
  reader.take(reader.number(1))
  if (reader.done()) return { kind: 'hello', sni: null }
  const extensions = new Reader(reader.take(reader.number(2)))
  let sni: string | null = null
  while (!extensions.done() && !extensions.failed) {
    const type = extensions.number(2)
    const value = new Reader(extensions.take(extensions.number(2)))
    if (type !== 0) continue
    if (sni !== null) return bad('two server names')
    // RFC 6066 §3: a list, in practice of one entry of type host_name (0).
    const list = new Reader(value.take(value.number(2)))
    if (list.number(1) !== 0) return bad('server name of unknown type')
    const name = list.take(list.number(2)).toString('latin1')
    if (list.failed || value.failed || !list.done() || !value.done()) return bad('malformed server name')
    sni = name
  }
  return reader.failed || extensions.failed || !reader.done() ? bad('malformed ClientHello') : { kind: 'hello', sni }
}

/** Reads forward; reading past the end yields zeros and sets `failed`. */
class Reader {
  failed = false
  readonly #bytes: Buffer
  #at = 0
  constructor(bytes: Buffer) {
    this.#bytes = bytes
  }
  number(size: number): number {
    const bytes = this.take(size)
    return bytes.length === size ? bytes.readUIntBE(0, size) : 0
  }
  take(size: number): Buffer {
    const bytes = this.#bytes.subarray(this.#at, this.#at + size)
    if (bytes.length < size) this.failed = true
    this.#at += size
    return bytes
  }
  done(): boolean {
    return this.#at >= this.#bytes.length
  }
}

export type FirstBytes =
  | { kind: 'tls'; sni: string | null }
  | { kind: 'http' }
  | { kind: 'bad'; why: string }
  | { kind: 'gone' }

/**
 * Looks at what a client says first, and puts it back. `http` when it begins like a request line. A client that says
 * nothing recognisable within `timeoutMs` is `bad`; one that leaves is `gone`.
 */
export function peekFirstBytes(socket: Socket, timeoutMs: number): Promise<FirstBytes> {
  return new Promise((resolve) => {
    let seen: Buffer = Buffer.alloc(0)
    const finish = (result: FirstBytes): void => {
      clearTimeout(timer)
      socket.off('readable', look).off('end', gone).off('close', gone)
      if (seen.length > 0 && !socket.destroyed) socket.unshift(seen)
      resolve(result)
    }
    const gone = (): void => finish({ kind: 'gone' })
    const look = (): void => {
      for (let chunk = socket.read() as Buffer | null; chunk !== null; chunk = socket.read() as Buffer | null)
        seen = Buffer.concat([seen, chunk])
      if (seen.length === 0) return
      if (seen[0] !== 0x16) {
        const text = seen.toString('latin1', 0, 32)
        if (/^[A-Z]{3,16} /.test(text)) finish({ kind: 'http' })
        else if (!/^[A-Z]{0,16}$/.test(text)) finish({ kind: 'bad', why: 'neither TLS nor HTTP' })
        return
      }
      const hello = parseClientHello(seen)
      if (hello.kind === 'hello') finish({ kind: 'tls', sni: hello.sni })
      else if (hello.kind === 'bad') finish(hello)
    }
    const timer = setTimeout(() => finish({ kind: 'bad', why: 'nothing recognisable in time' }), timeoutMs)
    socket.on('readable', look).once('end', gone).once('close', gone)
    look()
  })
}

/** A fatal alert (RFC 8446 §6), for a client whose handshake will not be answered. */
export const tlsAlert = (description: number): Buffer => Buffer.from([0x15, 3, 3, 0, 2, 2, description])
export const alerts = { handshakeFailure: 40, accessDenied: 49, unrecognizedName: 112 } as const
