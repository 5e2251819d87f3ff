const byteUnits = ['B', 'KiB', 'MiB', 'GiB', 'TiB', 'PiB'] as const

/** Bytes as people read them, in powers of 1024 like the plan's GiB: `0 B`, `512 B`, `1.5 KiB`, `23 MiB`. */
export function formatBytes(bytes: number): string {
  let value = Math.abs(bytes)
  let unit = 0
  // 1023.5 and more would round to "1024" of the smaller unit.
  while (value >= 1023.5 && unit < byteUnits.length - 1) {
    value /= 1024
    unit += 1
  }
  const digits = unit === 0 || value >= 99.95 ? 0 : value >= 9.995 ? 1 : 2
  return `${bytes < 0 ? '−' : ''}${trimZeros(value.toFixed(digits))} ${byteUnits[unit]}`
}

/** Counts with a short suffix: `999`, `1.2k`, `34k`, `5.6M`. */
export function formatCount(count: number): string {
  for (const [size, suffix] of [
    [1e9, 'B'],
    [1e6, 'M'],
    [1e3, 'k'],
  ] as const) {
    if (count >= size * 0.9995) {
      const value = count / size
      return `${trimZeros(value.toFixed(value >= 99.95 ? 0 : 1))}${suffix}`
    }
  }
  return String(Math.round(count))
}

/** Integer cents as money: `$0.00`, `$12.50`. */
export function formatCents(cents: number): string {
  return new Intl.NumberFormat('en-US', { style: 'currency', currency: 'USD' }).format(cents / 100)
}

/** A length of time in the two units that matter: `850 ms`, `12.4 s`, `3 min 5 s`, `2 h 10 min`, `4 d 3 h`. */
export function formatDuration(ms: number): string {
  if (ms < 1000) return `${Math.round(ms)} ms`
  const seconds = ms / 1000
  if (seconds < 59.95) return `${trimZeros(seconds.toFixed(1))} s`
  const whole = Math.round(seconds)
  if (whole < 3600) return two(Math.floor(whole / 60), 'min', whole % 60, 's')
  if (whole < 86_400) return two(Math.floor(whole / 3600), 'h', Math.floor((whole % 3600) / 60), 'min')
  return two(Math.floor(whole / 86_400), 'd', Math.floor((whole % 86_400) / 3600), 'h')
}

/** How long ago, in one unit: `just now`, `5 min ago`, `3 h ago`, `2 d ago`; `in 4 d` for the future. */
export function formatAgo(at: string, nowMs: number): string {
  const ms = nowMs - Date.parse(at)
  const size = Math.abs(ms)
  if (size < 45_000) return 'just now'
  const text =
    size < 3_570_000
      ? `${Math.max(1, Math.round(size / 60_000))} min`
      : size < 86_400_000
        ? `${Math.round(size / 3_600_000)} h`
        : `${Math.round(size / 86_400_000)} d`
  return ms < 0 ? `in ${text}` : `${text} ago`
}

/** For how long: `for 5 min`, `just now`. */
export function formatFor(at: string, nowMs: number): string {
  const ago = formatAgo(at, nowMs)
  return ago.endsWith(' ago') ? `for ${ago.slice(0, -4)}` : ago
}

/** Date and time in the reader's own zone, to the second. */
export function formatTime(at: string): string {
  return new Intl.DateTimeFormat(undefined, { dateStyle: 'medium', timeStyle: 'medium' }).format(new Date(at))
}

export function formatDate(at: string): string {
  return new Intl.DateTimeFormat(undefined, { dateStyle: 'medium' }).format(new Date(at))
}

/** `2026-11` → `November 2026`. Usage periods are UTC months, whatever the reader's zone is. */
export function formatMonth(month: string): string {
  return new Intl.DateTimeFormat('en', { month: 'long', year: 'numeric', timeZone: 'UTC' }).format(
    new Date(`${month}-01T00:00:00Z`),
  )
}

/** The month `by` months from `month`; `2026-12` and 1 → `2027-01`. */
export function addMonths(month: string, by: number): string {
  const date = new Date(`${month}-01T00:00:00Z`)
  date.setUTCMonth(date.getUTCMonth() + by)
  return date.toISOString().slice(0, 7)
}

const trimZeros = (text: string): string => (text.includes('.') ? text.replace(/\.?0+$/, '') : text)
const two = (big: number, bigUnit: string, small: number, smallUnit: string): string =>
  small === 0 ? `${big} ${bigUnit}` : `${big} ${bigUnit} ${small} ${smallUnit}`
