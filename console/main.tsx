// The app is imported only after Zod was told to work without `new Function`: schemas decide that when they are declared.
import './lib/jitless.ts'

const { start } = await import('./app.tsx')
start()
