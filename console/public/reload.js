// Chromium drops whatever is under way when a network link of its machine comes or goes, and every sandbox is one. A page
// whose code or style was dropped stays blank, so it is loaded again: at most three times, a second apart.
;(() => {
  const key = 'slopbox.reloads'
  const count = () => {
    try {
      return Number(sessionStorage.getItem(key) ?? 0)
    } catch {
      // Without storage nobody could tell the first time from the hundredth.
      return Infinity
    }
  }
  let broken = false
  addEventListener('load', () => {
    if (!broken && count() < Infinity) sessionStorage.removeItem(key)
  })
  const failed = ({ target }) => {
    if (!(target instanceof HTMLScriptElement || target instanceof HTMLLinkElement)) return
    broken = true
    if (count() >= 3) return
    sessionStorage.setItem(key, String(count() + 1))
    setTimeout(() => location.reload(), 1000)
  }
  // Failures to load do not bubble.
  addEventListener('error', failed, true)
})()
