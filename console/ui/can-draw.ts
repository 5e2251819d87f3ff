const known = new Map<string, boolean>()

/**
 * Whether this machine has a font for a text, by comparing its pixels with those of a character that no font has. Servers
 * and slim desktops often come without emoji, and an empty box is worse than a letter.
 */
export function canDraw(text: string): boolean {
  let can = known.get(text)
  if (can === undefined) {
    can = pixels(text) !== pixels('\u{10FFFE}')
    known.set(text, can)
  }
  return can
}

function pixels(text: string): string {
  const canvas = document.createElement('canvas')
  canvas.width = canvas.height = 24
  const context = canvas.getContext('2d', { willReadFrequently: true })
  if (context === null) return text
  context.font = '16px system-ui, sans-serif'
  context.textBaseline = 'top'
  // The first character decides; joiners and variation selectors after it have no shape of their own.
  context.fillText(String.fromCodePoint(text.codePointAt(0) ?? 0x20), 2, 2)
  return context.getImageData(0, 0, 24, 24).data.join()
}
