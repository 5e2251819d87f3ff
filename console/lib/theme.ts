import { useSyncExternalStore } from 'react'

export const themes = ['system', 'light', 'dark'] as const
export type Theme = (typeof themes)[number]

// The same key and rule as public/theme.js, which runs before the first paint.
const key = 'slopbox.theme'
const prefersDark = matchMedia('(prefers-color-scheme: dark)')
const watchers = new Set<() => void>()

function readTheme(): Theme {
  try {
    const stored = localStorage.getItem(key)
    return stored === 'dark' || stored === 'light' ? stored : 'system'
  } catch {
    return 'system'
  }
}

let theme = readTheme()

const isDark = (): boolean => theme === 'dark' || (theme === 'system' && prefersDark.matches)
function apply(): void {
  document.documentElement.classList.toggle('dark', isDark())
  for (const watcher of watchers) watcher()
}
prefersDark.addEventListener('change', apply)

export function setTheme(next: Theme): void {
  theme = next
  try {
    localStorage.setItem(key, next)
  } catch {
    // Without storage the choice lasts as long as the page.
  }
  apply()
}

const watch = (watcher: () => void): (() => void) => {
  watchers.add(watcher)
  return () => watchers.delete(watcher)
}
export const useTheme = (): Theme => useSyncExternalStore(watch, () => theme)
/** Whether the page is dark now, whoever decided it. Charts need to know, because they draw on a canvas. */
export const useDark = (): boolean => useSyncExternalStore(watch, isDark)
