/**
 * Which of an agent's own HTTP paths its owner's browser may ask for. Only reading: everything that acts goes over the
 * WebSocket, where each call is judged. OpenClaw serves APIs on the same root that give what the call filter refuses
 * (tool invocation, model APIs, hooks, plugin routes, admin RPC), so files and data are listed and the rest is closed.
 */
export function isOpenPath(method: string, path: string, navigation: boolean): boolean {
  if (method !== 'GET' && method !== 'HEAD') return false
  if (files.test(path) || data.some((pattern) => pattern.test(path))) return true
  // The page's own router makes addresses of plain words; the agent answers each with the page. With HEAD the page
  // finds out whether it can be loaded again.
  return path === '/' || ((navigation || method === 'HEAD') && !closed.test(path) && pageRoute.test(path))
}

/** First words under which the agent answers with something else than its page; two of them are pages by themselves. */
const closed =
  /^\/(?:(?:api|tools|v1|hooks|oauth|plugin|share|approve|j|health|healthz|ready|readyz|startup|startupz|mcp|internal|admin|avatar|webhooks?)(?:\/|$)|(?:sessions|plugins)\/)/i

/** Parts of the built page. */
const files =
  /^\/(?:[A-Za-z0-9._-]+\.(?:js|css|svg|png|ico|webmanifest|json|webp|woff2?|txt)|(?:assets|fonts|themes|app-art|community-art|provider-icons|cloud-provider-icons|file-icons)\/[A-Za-z0-9._/@-]+)$/

const data = [
  /^\/__openclaw(?:__)?\/control-ui-config\.json$/,
  /^\/__openclaw__\/(?:assistant-media|board|canvas|a2ui|cap|media|channel-avatar|workspace-icon)(?:\/|$)/,
  /^\/__openclaw__\/(?:plugin-icon|plugin-activity-icon|plugin-theme-art|plugins\/control-ui)(?:\/|$)/,
  /^\/avatar\/[^/]+$/,
  /^\/api\/users\/[^/]+\/avatar$/,
  /^\/api\/artifacts\/download\//,
  /^\/api\/chat\/media\/outgoing\//,
]

const pageRoute = /^(?:\/[A-Za-z][A-Za-z0-9-]*)(?:\/[A-Za-z0-9:._~%@-]+){0,4}\/?$/
