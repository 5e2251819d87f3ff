/** Origins the console may be opened under: the public one, and loopback at the same port, each over http and https. */
export function trustedOrigins(publicUrl: string): string[] {
  const url = new URL(publicUrl)
  const port = url.port === '' ? '' : `:${url.port}`
  const names = new Set([url.hostname, '127.0.0.1', 'localhost', '[::1]'])
  return [...names].flatMap((name) => [`http://${name}${port}`, `https://${name}${port}`])
}
