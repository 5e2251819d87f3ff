// Runs before the first paint so that the page never flashes in the other theme; a file, because the CSP forbids inline scripts.
;(() => {
  let choice = null
  try {
    choice = localStorage.getItem('slopbox.theme')
  } catch {
    // Storage can be switched off; then the system decides.
  }
  const dark = choice === 'dark' || (choice !== 'light' && matchMedia('(prefers-color-scheme: dark)').matches)
  document.documentElement.classList.toggle('dark', dark)
})()
