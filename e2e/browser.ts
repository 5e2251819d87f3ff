import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { chromium, type BrowserContext, type Locator, type Page } from 'playwright-core'

const flags = [
  '--no-sandbox',
  '--disable-gpu',
  '--disable-quic',
  '--no-first-run',
  '--disable-background-networking',
  '--disable-component-update',
  '--disable-sync',
]

/** Debian's Chromium with a profile of its own. Names under `localhost` resolve to loopback inside Chromium by themselves. */
export async function openBrowser(): Promise<{ context: BrowserContext } & AsyncDisposable> {
  const profile = await mkdtemp(join(tmpdir(), 'slopbox-chromium-'))
  const context = await chromium.launchPersistentContext(profile, {
    executablePath: '/usr/bin/chromium',
    headless: true,
    args: flags,
    viewport: { width: 1280, height: 900 },
  })
  return {
    context,
    async [Symbol.asyncDispose]() {
      await context.close()
      await rm(profile, { recursive: true, force: true })
    },
  }
}

/**
 * Opens an address and waits until `sign` is there. Chromium drops what is under way whenever a network link comes or
 * goes on the machine (ERR_NETWORK_CHANGED), which every sandbox does: then, as a person would, it loads again.
 */
export async function visit(page: Page, url: string, sign: Locator): Promise<void> {
  for (let attempt = 1; ; attempt += 1) {
    try {
      await page.goto(url)
      return await sign.waitFor({ timeout: 60_000 })
    } catch (error) {
      if (attempt === 3) throw error
    }
  }
}
