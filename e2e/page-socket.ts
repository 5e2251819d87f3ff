import type { Page } from 'playwright-core'

export interface RpcReply {
  ok: boolean
  error?: { code: string; message: string }
}

/** Keeps every WebSocket the page opens in `window.slopboxSockets`, from before its first script. */
export async function captureSockets(page: Page): Promise<void> {
  await page.addInitScript(`
    window.slopboxSockets = [];
    window.WebSocket = class extends WebSocket {
      constructor(...args) { super(...args); window.slopboxSockets.push(this) }
    };
  `)
}

/** Sends a request frame on the page's own open socket and gives back the answer with its id. */
export function callFromPage(page: Page, method: string, params: object): Promise<RpcReply> {
  const frame = { type: 'req', id: `e2e-${method}`, method, params }
  return page.evaluate(`new Promise((resolve, reject) => {
    const socket = window.slopboxSockets.find((one) => one.readyState === 1)
    if (socket === undefined) return reject(new Error('the page has no open socket'))
    socket.addEventListener('message', (event) => {
      const message = JSON.parse(event.data)
      if (message.type === 'res' && message.id === ${JSON.stringify(frame.id)}) resolve({ ok: message.ok, error: message.error })
    })
    socket.addEventListener('close', () => reject(new Error('the socket closed')))
    socket.send(${JSON.stringify(JSON.stringify(frame))})
  })`)
}

/** Remembers the sockets that are open now, and how many they are. The page opens new ones by itself once they are cut. */
export async function rememberOpenSockets(page: Page): Promise<number> {
  const open = 'window.slopboxOpen = window.slopboxSockets.filter((socket) => socket.readyState === WebSocket.OPEN)'
  return Number(await page.evaluate(`(${open}).length`))
}

/** How many of the remembered ones are closed. Asked anew each time: a page's own policy forbids it to evaluate text. */
export async function closedSockets(page: Page): Promise<number> {
  return Number(
    await page.evaluate('window.slopboxOpen.filter((socket) => socket.readyState === WebSocket.CLOSED).length'),
  )
}
