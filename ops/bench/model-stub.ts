import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'

/** A model endpoint on loopback that nobody is going to ask: a benchmark of starting needs an address, not answers. */
export async function startModelStub(): Promise<{ url: string } & AsyncDisposable> {
  const server = createServer((_, response) => {
    response.writeHead(503).end()
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/v1`,
    async [Symbol.asyncDispose]() {
      server.closeAllConnections()
      await new Promise((resolve) => server.close(resolve))
    },
  }
}
