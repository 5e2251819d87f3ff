/** Replaces what must not be seen in a stream of bytes, keeping its length. */
export interface Scrubber {
  /** Bytes that are safe to pass on. Holds back only a tail that may be the beginning of a match. */
  push(chunk: Buffer): Buffer
  /** What was held back. */
  flush(): Buffer
  /** Matches replaced so far. */
  readonly found: number
}

/** Shorter values would be found by accident everywhere; they are no secrets either. */
const shortest = 6

/**
 * The spellings in which a service might echo a secret: as it is, percent-encoded, JSON-escaped, and base64 (both
 * alphabets) at each of the three alignments it can have within a longer encoded text.
 */
export function spellings(secret: string): Buffer[] {
  if (secret.length < shortest) return []
  const encoded = encodeURIComponent(secret)
  const strict = encoded.replace(/[!'()*]/g, (c) => `%${c.charCodeAt(0).toString(16).toUpperCase()}`)
  const json = JSON.stringify(secret).slice(1, -1)
  const lower = (text: string): string => text.replace(/%[0-9A-F]{2}/g, (code) => code.toLowerCase())
  const texts = [
    secret,
    encoded,
    strict,
    lower(encoded),
    lower(strict),
    encoded.replaceAll('%20', '+'),
    json,
    json.replaceAll('/', '\\/'),
    ...[0, 1, 2].flatMap((pad) => aligned(secret, pad)),
  ]
  return [...new Set(texts)].filter((text) => text.length >= shortest).map((text) => Buffer.from(text, 'latin1'))
}

/** Those base64 characters that depend on the secret alone when `pad` bytes stand before it. */
function aligned(secret: string, pad: number): string[] {
  const bytes = Buffer.concat([Buffer.alloc(pad), Buffer.from(secret, 'latin1')])
  const first = Math.ceil((pad * 8) / 6)
  const last = Math.floor((bytes.length * 8) / 6)
  const standard = bytes.toString('base64').slice(first, last)
  return [standard, standard.replaceAll('+', '-').replaceAll('/', '_')]
}

export function createScrubber(secrets: readonly string[]): Scrubber {
  // Longest first: where two spellings begin at one place, the longer one is replaced.
  const patterns = secrets.flatMap(spellings).toSorted((a, b) => b.length - a.length)
  let held: Buffer = Buffer.alloc(0)
  let found = 0

  const replace = (bytes: Buffer): Buffer => {
    let out = bytes
    for (const pattern of patterns) {
      for (let at = out.indexOf(pattern); at >= 0; at = out.indexOf(pattern, at + pattern.length)) {
        // Never write into memory that came from the socket and may be looked at elsewhere.
        if (out === bytes) out = Buffer.from(bytes)
        out.set(marker(pattern.length), at)
        found++
      }
    }
    return out
  }
  return {
    push(chunk) {
      if (patterns.length === 0) return chunk
      const bytes = replace(held.length === 0 ? chunk : Buffer.concat([held, chunk]))
      const keep = longestBeginning(bytes, patterns)
      held = bytes.subarray(bytes.length - keep)
      return bytes.subarray(0, bytes.length - keep)
    },
    flush() {
      const rest = held
      held = Buffer.alloc(0)
      return rest
    },
    get found() {
      return found
    },
  }
}

/** The whole text at once, for header values. */
export function scrubText(text: string, secrets: readonly string[]): string {
  const scrubber = createScrubber(secrets)
  return Buffer.concat([scrubber.push(Buffer.from(text, 'latin1')), scrubber.flush()]).toString('latin1')
}

function marker(length: number): Buffer {
  return Buffer.from('[hidden by slopbox]'.slice(0, length).padEnd(length, '*'))
}

/** Length of the longest tail that is a proper beginning of a pattern. */
function longestBeginning(bytes: Buffer, patterns: readonly Buffer[]): number {
  let longest = 0
  for (const pattern of patterns) {
    for (let length = Math.min(pattern.length - 1, bytes.length); length > longest; length--) {
      if (bytes[bytes.length - length] !== pattern[0]) continue
      if (bytes.compare(pattern, 0, length, bytes.length - length) === 0) longest = length
    }
  }
  return longest
}
